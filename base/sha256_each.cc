// SPDX-License-Identifier: Apache-2.0
//
// One job of libipsec-mb for each message, else GnuTLS.
#include "base/sha256_each.h"

#include <stdexcept>

#include "base/crypto.h"
#include "base/ipsec_mb_internal.h"

namespace ckptseal {
namespace {

#ifdef CKPTSEAL_IPSEC_MB

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
  // What cannot fail but for a broken library throws, as in base/crypto.cc.
  if (imb_get_errno(&manager) != 0 || (done != nullptr && done->status != IMB_STATUS_COMPLETED)) {
    throw std::runtime_error("libipsec-mb does not hash");
  }
}

bool in_lanes(std::span<const ByteView> messages, std::span<Digest> digests) {
  IMB_MGR* manager = ipsec_mb();
  if (manager == nullptr) return false;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    // Which the library refuses.
    if (messages[i].empty()) {
      digests[i] = Sha256::of({});
    } else {
      submit(*manager, messages[i], digests[i]);
    }
  }
  while (IMB_FLUSH_JOB(manager) != nullptr) continue;
  return true;
}

#else

bool in_lanes(std::span<const ByteView>, std::span<Digest>) { return false; }

#endif

}  // namespace

void sha256_each(std::span<const ByteView> messages, std::span<Digest> digests) {
  if (messages.size() != digests.size()) throw std::logic_error("a digest for each message");
  if (in_lanes(messages, digests)) return;
  for (std::size_t i = 0; i < messages.size(); ++i) digests[i] = Sha256::of(messages[i]);
}

}  // namespace ckptseal
