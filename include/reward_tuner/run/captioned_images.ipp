// Definitions of captioned_images.hpp.
#pragma once
#include <reward_tuner/run/captioned_images.hpp>

#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_line.hpp>
#include <reward_tuner/files/text_file.hpp>
#include <reward_tuner/report/image_file.hpp>

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
  const std::string unread_files = unread(folder, list);
  REWARD_TUNER_CHECK(!list.empty(), "[CaptionedImages] ", folder.string(), " holds no PNG or JPEG images",
                     unread_files.empty() ? "" : "; " + unread_files);
  if (!unread_files.empty()) note("[CaptionedImages] ", unread_files);
  CaptionedImages out;
  for (const auto& [file, caption] : list) {
    out.files_.push_back(file);
    out.captions_.push_back(caption);
  }
  out.shape_ = read_image(out.files_[0]).sizes().vec();
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
  Tensor image = read_image(file);
  REWARD_TUNER_CHECK(image.sizes() == at::IntArrayRef(shape_), "[CaptionedImages] expected images of one size, got ",
                     at::IntArrayRef(shape_), " and ", image.sizes(), " at ", file.string());
  return image;
}

REWARD_TUNER_INLINE CaptionedImages::List CaptionedImages::from_metadata(const std::filesystem::path& folder) {
  const auto file = folder / "metadata.jsonl";
  TextLines lines(file);
  List list;
  for (std::string line; lines.next(line);) {
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    const auto object = parse_json_line(line, lines.where());
    const std::string name = text_field(object, "file_name", lines.where());
    REWARD_TUNER_CHECK(std::filesystem::is_regular_file(folder / name), "[CaptionedImages] ", lines.where(),
                       ": expected the name of an image in the folder, got '", name, "'");
    list.emplace_back(folder / name, text_field(object, "text", lines.where()));
  }
  return list;
}

REWARD_TUNER_INLINE CaptionedImages::List CaptionedImages::from_neighbors(const std::filesystem::path& folder) {
  List list;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!is_image_name(entry.path())) continue;
    auto beside = entry.path();
    beside.replace_extension(".txt");
    REWARD_TUNER_CHECK(std::filesystem::is_regular_file(beside), "[CaptionedImages] expected a caption for ",
                       entry.path().string(), " in ", beside.string(), " or a metadata.jsonl, got neither");
    std::string caption = read_text_file(beside);
    caption.erase(std::find_if(caption.rbegin(), caption.rend(), [](unsigned char c) { return c > ' '; }).base(),
                  caption.end());
    list.emplace_back(entry.path(), std::move(caption));
  }
  std::sort(list.begin(), list.end());
  return list;
}

REWARD_TUNER_INLINE std::string CaptionedImages::unread(const std::filesystem::path& folder, const List& list) {
  std::set<std::filesystem::path> known{folder / "metadata.jsonl"};
  const bool listed = std::filesystem::exists(folder / "metadata.jsonl");
  for (const auto& item : list) {
    known.insert(item.first.lexically_normal());
    if (!listed) known.insert(std::filesystem::path(item.first).replace_extension(".txt"));
  }
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() && !name.starts_with('.') && !known.contains(entry.path().lexically_normal()))
      names.push_back(name);
  }
  if (names.empty()) return {};
  std::sort(names.begin(), names.end());
  return folder.string() + ": " + std::to_string(names.size()) + " of its files " +
         (listed ? "are not in metadata.jsonl" : "are neither PNG or JPEG images nor their captions") +
         " and are not read, '" + names.front() + "' among them";
}

}  // namespace reward_tuner
