// SPDX-License-Identifier: Apache-2.0
//
// libipsec-mb for the files of base/ that compute with it. It is there on x86-64 alone, and of use
// where the processor has AES instructions; whoever calls it has GnuTLS for everywhere else.
#pragma once

#ifdef CKPTSEAL_IPSEC_MB

#include <intel-ipsec-mb.h>

namespace ckptseal {

// This thread's manager; nullptr: this processor is none that the library supports.
IMB_MGR* ipsec_mb();

}  // namespace ckptseal

#endif
