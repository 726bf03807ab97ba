// SPDX-License-Identifier: Apache-2.0
//
// One manager of libipsec-mb for each thread.
#include "base/sha256_each.h"

#include <stdexcept>

#include "base/crypto.h"

#ifdef CKPTSEAL_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

namespace ckptseal {
namespace {

#ifdef CKPTSEAL_IPSEC_MB

using Manager = std::unique_ptr<IMB_MGR, void (*)(IMB_MGR*)>;

// What cannot fail but for a broken library throws, as in base/crypto.cc.
Manager make_manager() {
  Manager manager(alloc_mb_mgr(0), free_mb_mgr);
  if (!manager) throw std::bad_alloc();
  init_mb_mgr_auto(manager.get(), nullptr);
  if (imb_get_errno(manager.get()) != 0) throw std::runtime_error("libipsec-mb does not start");
  return manager;
}

void submit(IMB_MGR& manager, ByteView message, Digest& digest) {
  IMB_JOB& job = *IMB_GET_NEXT_JOB(&manager);
  job = {};
  job.cipher_mode = IMB_CIPHER_NULL;
  job.cipher_direction = IMB_DIR_ENCRYPT;
  job.chain_order = IMB_ORDER_HASH_CIPHER;
  job.hash_alg = IMB_AUTH_SHA_256;
  job.src = message.data();
  job.msg_len_to_hash_in_bytes = message.size();
  job.auth_tag_output = digest.data();
  job.auth_tag_output_len_in_bytes = digest.size();
  const IMB_JOB* done = IMB_SUBMIT_JOB(&manager);
  if (imb_get_errno(&manager) != 0 || (done != nullptr && done->status != IMB_STATUS_COMPLETED)) {
    throw std::runtime_error("libipsec-mb does not hash");
  }
}

#endif

}  // namespace

void sha256_each(std::span<const ByteView> messages, std::span<Digest> digests) {
  if (messages.size() != digests.size()) throw std::logic_error("a digest for each message");
#ifdef CKPTSEAL_IPSEC_MB
  // Scratch memory of 200 KiB that takes half a millisecond to set up; it knows nothing between two
  // calls.
  thread_local const Manager manager = make_manager();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    // Which the library refuses.
    if (messages[i].empty()) {
      digests[i] = Sha256::of({});
    } else {
      submit(*manager, messages[i], digests[i]);
    }
  }
  while (IMB_FLUSH_JOB(manager.get()) != nullptr) continue;
#else
  for (std::size_t i = 0; i < messages.size(); ++i) digests[i] = Sha256::of(messages[i]);
#endif
}

}  // namespace ckptseal
