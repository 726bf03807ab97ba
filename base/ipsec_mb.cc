// SPDX-License-Identifier: Apache-2.0
//
// One manager of libipsec-mb for each thread that asks: 200 KiB that take half a millisecond to set
// up. It is scratch memory, which knows nothing between two calls.
#include "base/ipsec_mb_internal.h"

#ifdef CKPTSEAL_IPSEC_MB

#include <memory>

namespace ckptseal {
namespace {

using Manager = std::unique_ptr<IMB_MGR, void (*)(IMB_MGR*)>;

Manager make_manager() {
  Manager manager(alloc_mb_mgr(0), free_mb_mgr);
  if (!manager) return manager;
  init_mb_mgr_auto(manager.get(), nullptr);
  constexpr std::uint64_t aes = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
  const bool usable = imb_get_errno(manager.get()) == 0 && (manager->features & aes) == aes;
  if (!usable) manager.reset();
  return manager;
}

}  // namespace

IMB_MGR* ipsec_mb() {
  thread_local const Manager manager = make_manager();
  return manager.get();
}

}  // namespace ckptseal

#endif
