// SPDX-License-Identifier: Apache-2.0
//
// What a TPM answers, or whoever stands on its bus. Input: what is asked of it, the keys as
// docs/state.md, "tpm/keys", has them behind their length, then answers, each behind its length;
// their size fields are made to fit, for all else would be refused at once. After the last answer
// the TPM is gone.
#include <algorithm>
#include <cstdlib>

#include "fuzz.h"
#include "keymgr/tpm2/channel.h"
#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/provision.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

const bool quiet = setenv("TSS2_LOG", "all+NONE", 0) == 0;

class Answers : public TpmChannel {
 public:
  explicit Answers(ByteView input) : reader_(input) {}

  Status send(ByteView, Deadline) override { return {}; }
  Result<Bytes> receive(Deadline) override {
    const ByteView next = reader_.view(reader_.u16());
    if (!reader_.ok()) return tpm_went_away("fuzz", 0);
    Bytes answer(next.begin(), next.end());
    if (answer.size() > largest_tpm_frame) answer.resize(largest_tpm_frame);
    if (answer.size() >= tpm_header_size) {
      const Bytes size = ByteWriter().u32(static_cast<std::uint32_t>(answer.size())).take();
      std::copy(size.begin(), size.end(), answer.begin() + 2);
    }
    return answer;
  }
  bool restartable() const override { return true; }

 private:
  ByteReader reader_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader reader(ByteView(data, size));
  const unsigned asked = reader.u8() % 5U;
  const Result<TpmKeys> keys = TpmKeys::parse(reader.view(reader.u16()));
  if (!quiet || !reader.ok() || (asked < 3 && !keys.ok())) return 0;
  TpmConnection connection = TpmConnection::over(std::make_unique<Answers>(reader.rest()), "fuzz");
  if (asked == 3) {
    (void)provision_tpm(connection).ok();
  } else if (asked == 4) {
    (void)plan_provision(connection).ok();
  } else {
    EsysTpm tpm(std::move(connection), keys.value());
    const PcrSelection selection = PcrSelection::standard();
    // Nobody without the storage parent's private part can answer that.
    if (asked == 0)
      require(!tpm.unseal({Bytes(98, 1), Bytes(68, 2), Bytes(68, 3)}, selection).ok());
    if (asked == 1) (void)tpm.sign(Digest{}).ok();
    if (asked == 2) (void)tpm.read_pcrs(selection).ok();
  }
  return 0;
}
