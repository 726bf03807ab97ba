// SPDX-License-Identifier: Apache-2.0
//
// The images of a stream as those of a sealed checkpoint.
#pragma once

#include "criu/capture.h"
#include "criu/serve.h"
#include "sealing/file_writer.h"
#include "sealing/unlocked_file.h"

namespace ckptseal {

class FileWriterSink : public ImageSink {
 public:
  explicit FileWriterSink(FileWriter& writer) : writer_(writer) {}
  Result<std::unique_ptr<Image>> open(const std::string& name) override;

 private:
  FileWriter& writer_;
};

class UnlockedFileSource : public ImageSource {
 public:
  // Both outlive it.
  UnlockedFileSource(const UnlockedFile& file, Workers& workers) : file_(file), workers_(workers) {}
  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override;
  Result<std::unique_ptr<Image>> open(const std::string& name) override;

 private:
  const UnlockedFile& file_;
  Workers& workers_;
};

}  // namespace ckptseal
