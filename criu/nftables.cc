// SPDX-License-Identifier: Apache-2.0
//
// One question over netlink. libmnl because it checks all lengths of the answer, and finds its end
// and its errors; libnftnl would bring objects of which only the name is needed, and running nft a
// program that may not be there.
#include "criu/nftables.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

#include "base/process.h"

namespace ckptseal {
namespace {

// Made while CRIU keeps connections still, and left there by one that was killed.
constexpr std::string_view criu_prefix = "CRIU-";
constexpr unsigned char found = 'y';
constexpr unsigned char none = 'n';
constexpr unsigned char failed = 'e';  // and errno in the byte behind it

using Socket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;

int look_at_attribute(const nlattr* attribute, void* out) {
  if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME &&
      mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0) {
    const std::string_view name = mnl_attr_get_str(attribute);
    if (!name.starts_with(criu_prefix)) *static_cast<std::string*>(out) = name;
  }
  return MNL_CB_OK;
}

int look_at_table(const nlmsghdr* message, void* out) {
  return mnl_attr_parse(message, sizeof(nfgenmsg), look_at_attribute, out);
}

// False and errno when it cannot be told. `name` stays empty when there is no table.
bool ask(std::string& name) {
  const Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC), mnl_socket_close);
  if (socket == nullptr) return errno == EPROTONOSUPPORT;  // a kernel without netfilter
  if (mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return false;
  std::array<char, 16 << 10> buffer{};  // what netlink sends at once at most
  nlmsghdr* const request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg));  // zeros: every family, version 0
  if (mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0) return false;
  const unsigned port = mnl_socket_get_portid(socket.get());
  for (int go_on = MNL_CB_OK; go_on > MNL_CB_STOP;) {
    const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (size < 0) return false;
    go_on =
        mnl_cb_run(buffer.data(), static_cast<std::size_t>(size), 0, port, look_at_table, &name);
    // A kernel without nf_tables knows no such message.
    if (go_on < 0) return errno == EINVAL || errno == EOPNOTSUPP;
  }
  return true;
}

// In a child, for there is no sure way back into a namespace: the answer goes into `out`.
int answer_from_within(int fd, int out) {
  std::string name;
  bool told = false;
  if (setns(fd, CLONE_NEWNET) == 0) {
    told = ask(name);
    // Tables changed meanwhile.
    for (int round = 0; !told && errno == EINTR && round < 10; ++round) told = ask(name);
  }
  Bytes answer;
  if (!told) {
    answer = {failed, static_cast<unsigned char>(errno)};
  } else {
    answer.push_back(name.empty() ? none : found);
    answer.insert(answer.end(), name.begin(), name.end());
  }
  return write_full(out, answer).ok() ? 0 : 1;
}

std::string for_a_terminal(ByteView name) {
  std::string out(as_text(name));
  for (char& c : out) {
    const bool printable = c >= ' ' && c <= '~';
    if (!printable) c = '?';
  }
  return out;
}

}  // namespace

Result<std::optional<std::string>> find_nftables_table(int fd) {
  CKPTSEAL_ASSIGN(Pipe pipe, make_pipe());
  CKPTSEAL_ASSIGN(Child child,
                  Child::fork([&] { return answer_from_within(fd, pipe.write_end.get()); }));
  pipe.write_end.reset();
  Bytes answer(1 + NFT_NAME_MAXLEN);
  CKPTSEAL_ASSIGN(const std::size_t size, read_full(pipe.read_end.get(), answer));
  CKPTSEAL_TRY(child.wait());
  if (size >= 1 && answer[0] == none) return std::optional<std::string>();
  const ByteView rest = ByteView(answer).first(size).subspan(size == 0 ? 0 : 1);
  if (size >= 1 && answer[0] == found) return std::optional<std::string>(for_a_terminal(rest));
  return system_error("Cannot look for nftables rules in a network namespace",
                      rest.empty() ? ECHILD : rest[0]);
}

}  // namespace ckptseal
