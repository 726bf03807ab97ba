// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal seal`: any stream, file or folder becomes a sealed file.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/process.h"
#include "cli/sealing/sealing.h"
#include "cli/verbs/verbs.h"
#include "sealing/tree.h"

namespace ckptseal {
namespace {

struct SealVerbOptions {
  SealingOptions sealing;
  std::string input = "-";
  bool allow_empty = false;
};

// The input, whatever it is: a descriptor that ends where the content ends.
struct Input {
  UniqueFd fd;
  std::uint64_t size = 0;  // 0: not known
  Content content = Content::stream;
  std::optional<Child> archiver;  // makes the archive of a folder
};

// In a child: its exit code says whether the archive is whole.
int run_archiver(int folder, Pipe& pipe) {
  pipe.read_end.reset();
  const Result<TreeWarnings> written = write_tree(folder, pipe.write_end.get());
  if (!written.ok()) {
    fmt::print(stderr, "ckpt-seal: {}\n", written.error().message);
    return 1;
  }
  for (const std::string& warning : written.value()) {
    fmt::print(stderr, "ckpt-seal: warning: {}\n", warning);
  }
  return 0;
}

Result<Input> archive_folder(UniqueFd folder) {
  CKPTSEAL_ASSIGN(Pipe pipe, make_pipe());
  Input input;
  input.content = Content::tree;
  CKPTSEAL_ASSIGN(Child archiver, Child::fork([&] { return run_archiver(folder.get(), pipe); }));
  input.archiver = std::move(archiver);
  input.fd = std::move(pipe.read_end);
  return input;
}

Result<Input> open_input(const std::string& path) {
  Input input;
  if (path == "-") {
    input.fd.reset(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  } else {
    CKPTSEAL_ASSIGN(input.fd, open_file(path, O_RDONLY, path));
  }
  struct stat info = {};
  if (fstat(input.fd.get(), &info) != 0) return system_error("Cannot read the input", errno);
  if (S_ISDIR(info.st_mode)) return archive_folder(std::move(input.fd));
  if (S_ISREG(info.st_mode)) input.size = static_cast<std::uint64_t>(info.st_size);
  return input;
}

HelperEvents events_of(Console& console, const Sealing& sealing, Input& input) {
  HelperEvents events;
  events.progress = [&](std::uint64_t done, std::uint64_t total) { console.progress(done, total); };
  events.sign = [&](const Digest& digest) { return sealing.sign(digest); };
  events.input_ended = [&]() -> Status {
    if (!input.archiver) return {};
    CKPTSEAL_ASSIGN(const ExitStatus status, input.archiver->wait());
    if (status.success()) return {};
    return Error{Code::failed, "The folder could not be read as a whole; nothing was sealed.", 0};
  };
  return events;
}

Result<Outcome> seal(const Globals& globals, const SealVerbOptions& options, Console& console) {
  if (options.sealing.passphrase_fd == STDIN_FILENO && options.input == "-") {
    return Error{Code::usage,
                 "Input and passphrase would both come from stdin; use another descriptor.", 0};
  }
  CKPTSEAL_ASSIGN(const auto sealing, Sealing::prepare(globals, options.sealing, console));
  if (options.sealing.dry_run) {
    Outcome outcome;
    outcome.json = {{"dry_run", true}, {"recipients", sealing->recipients().names()}};
    outcome.text = fmt::format("Would seal {} as {} for {} recipients.\n", options.input,
                               options.sealing.output, sealing->recipients().names().size());
    return outcome;
  }
  CKPTSEAL_ASSIGN(Input input, open_input(options.input));
  CKPTSEAL_TRY(sealing->open());
  SealJob job;
  job.input_fd = input.fd.get();
  job.output_fd = sealing->output_fd();
  job.spool_fd = sealing->spool_fd();
  job.input_size = input.size;
  job.refuse_empty = !options.allow_empty;
  job.options = sealing->seal_options(input.content);
  job.recipients = sealing->recipient_factory();
  job.announce = sealing->announcement();
  job.descriptors = sealing->descriptors();
  const Result<HelperReport> report = seal_in_helper(job, events_of(console, *sealing, input));
  const Status done = report.ok() ? sealing->commit() : Status(report.error());
  if (!done.ok()) {
    sealing->warn_of_paper(console);
    return done.error();
  }
  return sealing->describe(report.value());
}

}  // namespace

void add_seal_verb(const Verb& command) {
  auto options = std::make_shared<SealVerbOptions>();
  const Verb verb = command.verb("seal", "Seal a stream, file or folder",
                                 "ckpt-seal seal -o backup.cks --to host-b.record backup.img");
  verb.option("INPUT", options->input, "File or folder, - for standard input").shows_default();
  verb.option("-o,--output", options->sealing.output, "Sealed file, - for standard output")
      .value_name("FILE")
      .shows_default();
  add_sealing_options(verb, options->sealing);
  verb.flag("--unsigned", options->sealing.unsigned_file,
            "Do not sign: nobody vouches for the file");
  verb.flag("--allow-empty", options->allow_empty, "Seal an empty input, too");
  verb.does([options](const Globals& globals, Console& c) { return seal(globals, *options, c); });
}

}  // namespace ckptseal
