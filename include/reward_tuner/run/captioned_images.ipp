// Definitions of captioned_images.hpp.
#pragma once
#include <reward_tuner/run/captioned_images.hpp>

#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/report/png.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE CaptionedImages::CaptionedImages(const Tensor& images, std::vector<std::string> captions)
    : captions_(std::move(captions)) {
  REWARD_TUNER_CHECK(images.dim() == 4 && images.size(1) == 3 && images.size(0) >= 1,
                     "[CaptionedImages] expected images [N,3,H,W], got ", images.sizes());
  REWARD_TUNER_CHECK(static_cast<std::int64_t>(captions_.size()) == images.size(0),
                     "[CaptionedImages] expected one caption per image (", images.size(0), "), got ", captions_.size());
  pixels_ = images.scalar_type() == at::kByte
                ? images.contiguous()
                : (images.detach().clamp(0, 1) * 255).round().to(at::kCPU, at::kByte).contiguous();
}

REWARD_TUNER_INLINE CaptionedImages CaptionedImages::from_folder(const std::filesystem::path& folder,
                                                                 ImageLoading loading) {
  REWARD_TUNER_CHECK(std::filesystem::is_directory(folder),
                     "[CaptionedImages] expected a folder of captioned images, got nothing at ", folder.string());
  const auto list = std::filesystem::exists(folder / "metadata.jsonl") ? from_metadata(folder) : from_neighbors(folder);
  REWARD_TUNER_CHECK(!list.empty(), "[CaptionedImages] ", folder.string(), " holds no PNG images");
  CaptionedImages out;
  for (const auto& [file, caption] : list) {
    out.files_.push_back(file);
    out.captions_.push_back(caption);
  }
  out.shape_ = read_png(out.files_[0]).sizes().vec();
  if (loading == ImageLoading::kStreamed) return out;
  std::vector<Tensor> images;
  for (const auto& file : out.files_) images.push_back((out.read(file) * 255).round().to(at::kByte));  // [3,H,W]
  return CaptionedImages(at::stack(images), std::move(out.captions_));
}

REWARD_TUNER_INLINE Tensor CaptionedImages::images(const Tensor& rows) const {
  if (pixels_.defined()) return pixels_.index_select(0, rows).to(at::kFloat) / 255;
  std::vector<Tensor> drawn;
  for (std::int64_t i = 0; i < rows.numel(); ++i)
    drawn.push_back(read(files_.at(static_cast<std::size_t>(rows.const_data_ptr<std::int64_t>()[i]))));
  return at::stack(drawn);
}

REWARD_TUNER_INLINE Tensor CaptionedImages::read(const std::filesystem::path& file) const {
  Tensor image = read_png(file);
  REWARD_TUNER_CHECK(image.sizes() == at::IntArrayRef(shape_), "[CaptionedImages] expected images of one size, got ",
                     at::IntArrayRef(shape_), " and ", image.sizes(), " at ", file.string());
  return image;
}

REWARD_TUNER_INLINE CaptionedImages::List CaptionedImages::from_metadata(const std::filesystem::path& folder) {
  const auto file = folder / "metadata.jsonl";
  std::ifstream in(file);
  REWARD_TUNER_CHECK(in.good(), "[CaptionedImages] cannot read ", file.string());
  List list;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto text = [&](const char* key) {
      return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>()
                                                                             : std::string();
    };
    REWARD_TUNER_CHECK(!text("file_name").empty() && json.contains("text"), "[CaptionedImages] line ", number, " of ",
                       file.string(), " expected an object with \"file_name\" and \"text\", got ", line.substr(0, 80));
    list.emplace_back(folder / text("file_name"), text("text"));
  }
  return list;
}

REWARD_TUNER_INLINE CaptionedImages::List CaptionedImages::from_neighbors(const std::filesystem::path& folder) {
  List list;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".png") continue;
    auto beside = entry.path();
    beside.replace_extension(".txt");
    std::ifstream in(beside);
    REWARD_TUNER_CHECK(in.good(), "[CaptionedImages] expected a caption for ", entry.path().string(), " in ",
                       beside.string(), " or a metadata.jsonl, got neither");
    std::ostringstream text;
    text << in.rdbuf();
    std::string caption = text.str();
    caption.erase(std::find_if(caption.rbegin(), caption.rend(), [](unsigned char c) { return c > ' '; }).base(),
                  caption.end());
    list.emplace_back(entry.path(), std::move(caption));
  }
  std::sort(list.begin(), list.end());
  return list;
}

}  // namespace reward_tuner
