// SPDX-License-Identifier: Apache-2.0
//
// OpenSSL wipes a private key where it keeps it, not the copies that it makes while it reads one:
// its decoders free them as they are, and X25519 leaves its result on the stack.
#pragma once

namespace ckptseal {

// From now on whatever OpenSSL frees is wiped, in the whole process. OpenSSL takes that only before
// it has allocated anything, and others may use it too (the TPM software stack does): so a program
// that will read key files calls this first of all. false when it came too late. Any number of
// calls, from any thread.
bool wipe_what_openssl_frees();

// Wipes what the functions that the caller has called have left on the stack.
void wipe_stack_below();

}  // namespace ckptseal
