// SPDX-License-Identifier: Apache-2.0
//
// Both directions add nothing: FileWriter and UnlockedFile do the work.
#include "criu/sealed_images.h"

namespace ckptseal {
namespace {

class WrittenImage : public ImageSink::Image {
 public:
  explicit WrittenImage(FileWriter::Image image) : image_(std::move(image)) {}
  MutableByteView space() override { return image_.space(); }
  Status put(std::size_t size) override { return image_.put(size); }
  Status finish() override { return image_.finish(); }

 private:
  FileWriter::Image image_;
};

class ReadImage : public ImageSource::Image {
 public:
  explicit ReadImage(UnlockedFile::ImageReader reader) : reader_(std::move(reader)) {}
  Result<ByteView> next() override {
    CKPTSEAL_ASSIGN(const MutableByteView chunk, reader_.next());
    return ByteView(chunk);
  }
  void keep() override { reader_.keep(); }
  void let_go() override { reader_.let_go(); }
  void give_back() override { reader_.give_back(); }

 private:
  UnlockedFile::ImageReader reader_;
};

}  // namespace

Result<std::unique_ptr<ImageSink::Image>> FileWriterSink::open(const std::string& name) {
  CKPTSEAL_ASSIGN(FileWriter::Image image, writer_.add_image(name));
  return std::unique_ptr<Image>(std::make_unique<WrittenImage>(std::move(image)));
}

std::vector<std::string> UnlockedFileSource::names() const {
  std::vector<std::string> out;
  for (const ImageInfo& image : file_.images()) out.push_back(image.name);
  return out;
}

bool UnlockedFileSource::contains(const std::string& name) const {
  return file_.find(name) != nullptr;
}

Result<std::unique_ptr<ImageSource::Image>> UnlockedFileSource::open(const std::string& name) {
  const ImageInfo* image = file_.find(name);
  if (image == nullptr) return Error{Code::failed, "There is no such image.", 0};
  CKPTSEAL_ASSIGN(UnlockedFile::ImageReader reader, file_.read_image(*image, &workers_));
  return std::unique_ptr<Image>(std::make_unique<ReadImage>(std::move(reader)));
}

}  // namespace ckptseal
