// SPDX-License-Identifier: Apache-2.0
//
// How parent and helper talk: messages of proto/helper.proto on a socket pair, each behind its
// length. For the two ends alone, helper.cc and helper_channel.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/helper.pb.h"

namespace ckptseal {

inline constexpr std::size_t largest_approval = 4096;  // docs/policies.md, "Online approval"

Status send_frame(int socket, const std::string& body);
// nullopt when the other end is gone.
Result<std::optional<Bytes>> receive_frame(int socket);

template <typename Message>
bool parse_message(Message& message, ByteView bytes) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}
// Of a message that cannot be parsed, or says what cannot be.
Error no_message();

void set_failure(proto::Failure& failure, const Error& error);
Error to_error(const proto::Failure& failure);

}  // namespace ckptseal
