// SPDX-License-Identifier: Apache-2.0
//
// doctor's look at what dump and restore need: CRIU, root with its capabilities, a folder in
// memory.
#include <fmt/format.h>
#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/process.h"
#include "cli/criu_options.h"
#include "cli/doctor/doctor.h"
#include "criu/run_folder.h"

namespace ckptseal {
namespace {

using namespace std::string_literals;

constexpr std::chrono::seconds patience{60};  // 'criu check' takes a second

// By their numbers in linux/capability.h; what comes after them is called by its number.
constexpr const char* capability_names[] = {"CHOWN",
                                            "DAC_OVERRIDE",
                                            "DAC_READ_SEARCH",
                                            "FOWNER",
                                            "FSETID",
                                            "KILL",
                                            "SETGID",
                                            "SETUID",
                                            "SETPCAP",
                                            "LINUX_IMMUTABLE",
                                            "NET_BIND_SERVICE",
                                            "NET_BROADCAST",
                                            "NET_ADMIN",
                                            "NET_RAW",
                                            "IPC_LOCK",
                                            "IPC_OWNER",
                                            "SYS_MODULE",
                                            "SYS_RAWIO",
                                            "SYS_CHROOT",
                                            "SYS_PTRACE",
                                            "SYS_PACCT",
                                            "SYS_ADMIN",
                                            "SYS_BOOT",
                                            "SYS_NICE",
                                            "SYS_RESOURCE",
                                            "SYS_TIME",
                                            "SYS_TTY_CONFIG",
                                            "MKNOD",
                                            "LEASE",
                                            "AUDIT_WRITE",
                                            "AUDIT_CONTROL",
                                            "SETFCAP",
                                            "MAC_OVERRIDE",
                                            "MAC_ADMIN",
                                            "SYSLOG",
                                            "WAKE_ALARM",
                                            "BLOCK_SUSPEND",
                                            "AUDIT_READ",
                                            "PERFMON",
                                            "BPF",
                                            "CHECKPOINT_RESTORE"};
// The helper gives up being root with the first two; CRIU fails without any of the others.
constexpr unsigned needed[] = {CAP_SETUID,     CAP_SETGID,  CAP_SYS_ADMIN,
                               CAP_SYS_PTRACE, CAP_SETPCAP, CAP_SYS_CHROOT};

// By option or in the environment.
bool is_named(const std::string& named) { return name_of_criu(named) != "criu"; }

// "Version: 4.2.1" and more lines.
std::string version_of(const std::string& program) {
  const Result<std::string> said = run_program({program, "--version"}, patience);
  if (!said.ok()) return "of unknown version";
  const std::string line = said.value().substr(0, said.value().find('\n'));
  constexpr std::string_view label = "Version: ";
  return line.starts_with(label) ? line.substr(label.size()) : "of unknown version";
}

Finding check_criu(const std::string& program) {
  const std::string version = version_of(program);
  if (geteuid() != 0) {
    return hint("criu", fmt::format("{} is CRIU {}, but only root can dump and restore processes "
                                    "with it; run as root.",
                                    program, version));
  }
  const Result<std::string> checked =
      run_program({program, "check", "--no-default-config"}, patience);
  if (checked.ok()) {
    return good("criu", fmt::format("{} is CRIU {}, and passes its check of this kernel.", program,
                                    version));
  }
  return problem("criu", fmt::format("{} is CRIU {}, and does not pass its check of this kernel; "
                                     "take a newer CRIU (--criu) or another kernel: {}",
                                     program, version, checked.error().message));
}

unsigned last_capability() {
  unsigned out = CAP_LAST_CAP;
  std::ifstream("/proc/sys/kernel/cap_last_cap") >> out;
  return std::min(out, 63U);
}

std::string name_of(unsigned capability) {
  if (capability < std::size(capability_names)) return "CAP_"s + capability_names[capability];
  return fmt::format("capability {}", capability);
}

Finding check_capabilities() {
  const std::uint64_t has = effective_capabilities().value_or(0);
  std::vector<std::string> missing;
  std::vector<std::string> stopping;
  for (unsigned one = 0; one <= last_capability(); ++one) {
    if ((has >> one & 1) != 0) continue;
    const bool stops = std::find(std::begin(needed), std::end(needed), one) != std::end(needed);
    (stops ? stopping : missing).push_back(name_of(one));
  }
  if (!stopping.empty()) {
    return problem("capabilities",
                   fmt::format("Root here has no {}, without which no process can be dumped and "
                               "restored; give it to this container or service.",
                               fmt::join(stopping, ", ")));
  }
  if (missing.empty()) return good("capabilities", "Root here has every capability.");
  return hint("capabilities",
              fmt::format("Root here has no {}, so processes that have it when they are dumped "
                          "cannot be restored here; give it to this container or service.",
                          fmt::join(missing, ", ")));
}

// CRIU runs both for a tree that has a network namespace of its own.
Finding check_network() {
  if (find_in_path("ip").empty()) {
    return hint("network",
                "There is no program ip, which CRIU needs for network namespaces; install the "
                "package iproute2.");
  }
  if (find_in_path("iptables-restore").empty()) {
    return hint("network",
                "There is no program iptables-restore, with which CRIU locks a network namespace; "
                "install the package iptables, or dump with -- --network-lock nftables or skip.");
  }
  return good("network", "CRIU finds the programs that it needs for network namespaces.");
}

Finding check_hook() {
  const Result<std::string> hook = find_hook();
  if (!hook.ok()) return problem("hook", hook.error().message);
  return good("hook", fmt::format("CRIU asks ckpt-seal through {}.", hook.value()));
}

Finding check_run_folder() {
  const Result<RunFolder> folder = RunFolder::make();
  if (!folder.ok()) return problem("run_folder", folder.error().message);
  const std::string base = std::filesystem::path(folder.value().path()).parent_path();
  return good("run_folder",
              fmt::format("CRIU's logs and sockets are kept in memory, below {}.", base));
}

}  // namespace

Findings examine_criu(const std::string& named) {
  const Result<std::string> program = find_criu(named);
  if (!program.ok()) {
    const std::string sentence =
        fmt::format("No process can be dumped or restored here: {}", program.error().message);
    return {is_named(named) ? problem("criu", sentence) : hint("criu", sentence)};
  }
  clean_criu_environment();
  Findings out = {check_criu(program.value())};
  if (geteuid() == 0) out.push_back(check_capabilities());
  out.push_back(check_network());
  out.push_back(check_hook());
  out.push_back(check_run_folder());
  return out;
}

}  // namespace ckptseal
