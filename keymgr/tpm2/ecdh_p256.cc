// SPDX-License-Identifier: Apache-2.0
//
// ECDH by nettle's point multiplication, with the memory of its numbers wiped.
#include "keymgr/tpm2/ecdh_p256.h"

#include <gmp.h>
#include <malloc.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <string.h>

#include <cstdlib>
#include <mutex>

namespace ckptseal {
namespace {

constexpr std::size_t coordinate_size = 32;

void free_wiped(void* memory, std::size_t /*as GMP remembers it*/) {
  if (memory == nullptr) return;
  explicit_bzero(memory, malloc_usable_size(memory));
  std::free(memory);  // NOLINT: GMP's own allocation
}

void* reallocate_wiped(void* memory, std::size_t old_size, std::size_t new_size) {
  void* moved = std::malloc(new_size);  // NOLINT: GMP's own allocation
  if (moved == nullptr) std::abort();   // as GMP does: its callers cannot handle it
  memcpy(moved, memory, old_size < new_size ? old_size : new_size);
  free_wiped(memory, old_size);
  return moved;
}

// GMP and nettle free their scratch memory as it is, and that holds the shared point; from inside
// free is the only way to wipe it. (GnuTLS asks GMP for the same, at a time that it does not
// document.) It is one setting for the process; what was allocated before comes from malloc as
// well, so that it can be freed by this.
void wipe_what_gmp_frees() {
  static std::once_flag once;
  std::call_once(once, [] { mp_set_memory_functions(nullptr, reallocate_wiped, free_wiped); });
}

class Number {
 public:
  Number() { mpz_init(value_); }
  explicit Number(ByteView big_endian) : Number() {
    mpz_import(value_, big_endian.size(), 1, 1, 0, 0, big_endian.data());
  }
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;
  ~Number() { mpz_clear(value_); }

  mpz_ptr get() { return value_; }
  // Right-aligned in `out`, which it fits in: a coordinate is below the prime.
  void write(MutableByteView out) const {
    const std::size_t size = mpz_sgn(value_) == 0 ? 0 : (mpz_sizeinbase(value_, 2) + 7) / 8;
    mpz_export(out.data() + (out.size() - size), nullptr, 1, 1, 0, 0, value_);
  }

 private:
  mpz_t value_;
};

class Scalar {
 public:
  Scalar() { ecc_scalar_init(&scalar_, nettle_get_secp_256r1()); }
  Scalar(const Scalar&) = delete;
  Scalar& operator=(const Scalar&) = delete;
  ~Scalar() { ecc_scalar_clear(&scalar_); }

  bool set(const Secret& bytes) {
    if (bytes.size() != coordinate_size) return false;
    Number number(bytes.view());
    return ecc_scalar_set(&scalar_, number.get()) == 1;
  }
  const ecc_scalar* get() const { return &scalar_; }

 private:
  ecc_scalar scalar_{};
};

class Point {
 public:
  Point() { ecc_point_init(&point_, nettle_get_secp_256r1()); }
  Point(const Point&) = delete;
  Point& operator=(const Point&) = delete;
  ~Point() { ecc_point_clear(&point_); }

  // false when it is not on the curve.
  bool set(const EcPoint& coordinates) {
    Number x(coordinates.x);
    Number y(coordinates.y);
    return ecc_point_set(&point_, x.get(), y.get()) == 1;
  }
  void get(MutableByteView x, MutableByteView y) const {
    Number x_number;
    Number y_number;
    ecc_point_get(&point_, x_number.get(), y_number.get());
    x_number.write(x);
    if (!y.empty()) y_number.write(y);
  }
  ecc_point* get() { return &point_; }

 private:
  ecc_point point_{};
};

Error bad_scalar() {
  return {Code::failed, "A private key on NIST P-256 is out of range: make another.", 0};
}

}  // namespace

Result<Secret> random_p256_scalar() {
  wipe_what_gmp_frees();
  Scalar scalar;
  for (;;) {
    CKPTSEAL_ASSIGN(Secret bytes, random_secret(coordinate_size));
    if (scalar.set(bytes)) return bytes;  // all but one of 2^32
  }
}

Result<EcPoint> p256_public_point(const Secret& scalar) {
  wipe_what_gmp_frees();
  Scalar factor;
  if (!factor.set(scalar)) return bad_scalar();
  Point product;
  ecc_point_mul_g(product.get(), factor.get());
  EcPoint out;
  product.get(out.x, out.y);
  return out;
}

Result<Secret> p256_shared_x(const Secret& scalar, const EcPoint& peer) {
  wipe_what_gmp_frees();
  Scalar factor;
  if (!factor.set(scalar)) return bad_scalar();
  Point point;
  if (!point.set(peer)) {
    return Error{Code::integrity,
                 "A TPM key is no point on NIST P-256: its record is damaged or forged, so get it "
                 "again from its host.",
                 0};
  }
  // The order of the curve is prime, so the product is not the point at infinity.
  ecc_point_mul(point.get(), factor.get(), point.get());
  CKPTSEAL_ASSIGN(Secret x, Secret::make(coordinate_size));
  point.get(x.mutable_view(), {});
  return x;
}

}  // namespace ckptseal
