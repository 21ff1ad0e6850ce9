// Pictures with captions in memory, read from a folder: the data of a pre-training loss.
#pragma once
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/io/png.hpp>

namespace reward_tuner {

using torch::Tensor;

/// N pictures of one size, kept as bytes, and their captions. A regular value; copies share the pixels.
class CaptionedPictures {
 public:
  /// pictures float [N,3,H,W] in [0,1] (rounded to bytes) or uint8; N captions.
  CaptionedPictures(const Tensor& pictures, std::vector<std::string> captions) : captions_(std::move(captions)) {
    REWARD_TUNER_CHECK(pictures.dim() == 4 && pictures.size(1) == 3 && pictures.size(0) >= 1, "[CaptionedPictures] wanted pictures [N,3,H,W], found ", pictures.sizes());
    REWARD_TUNER_CHECK(static_cast<std::int64_t>(captions_.size()) == pictures.size(0), "[CaptionedPictures] wanted one caption a picture (", pictures.size(0), "), found ", captions_.size());
    pixels_ = pictures.scalar_type() == at::kByte ? pictures.contiguous() : (pictures.detach().clamp(0, 1) * 255).round().to(at::kCPU, at::kByte).contiguous();
  }

  /// Reads a folder of PNG pictures of one size: with a metadata.jsonl of lines {"file_name": "x.png", "text": "a caption"}, or with x.txt beside every x.png.
  /// Errors: no folder, no pictures, a picture without a caption, a line that is not such an object, pictures of different sizes.
  static CaptionedPictures from_folder(const std::filesystem::path& folder) {
    REWARD_TUNER_CHECK(std::filesystem::is_directory(folder), "[CaptionedPictures] wanted a folder of captioned pictures, found nothing at ", folder.string());
    const auto list = std::filesystem::exists(folder / "metadata.jsonl") ? from_metadata(folder) : from_neighbours(folder);
    REWARD_TUNER_CHECK(!list.empty(), "[CaptionedPictures] ", folder.string(), " holds no PNG pictures");
    std::vector<Tensor> pictures;
    std::vector<std::string> captions;
    for (const auto& [file, caption] : list) {
      pictures.push_back((read_png(file) * 255).round().to(at::kByte));  // [3,H,W]
      REWARD_TUNER_CHECK(pictures.back().sizes() == pictures.front().sizes(), "[CaptionedPictures] wanted pictures of one size, found ", pictures.front().sizes(), " and ",
                         pictures.back().sizes(), " at ", file.string());
      captions.push_back(caption);
    }
    return CaptionedPictures(at::stack(pictures), std::move(captions));
  }

  std::int64_t size() const { return pixels_.size(0); }
  const std::vector<std::string>& captions() const { return captions_; }
  /// Pictures by index, float in [0,1].  rows int64 [B] -> [B,3,H,W]
  Tensor pictures(const Tensor& rows) const { return pixels_.index_select(0, rows).to(at::kFloat) / 255; }

 private:
  using List = std::vector<std::pair<std::filesystem::path, std::string>>;

  static List from_metadata(const std::filesystem::path& folder) {
    const auto file = folder / "metadata.jsonl";
    std::ifstream in(file);
    REWARD_TUNER_CHECK(in.good(), "[CaptionedPictures] cannot read ", file.string());
    List list;
    std::size_t number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      const auto text = [&](const char* key) { return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string(); };
      REWARD_TUNER_CHECK(!text("file_name").empty() && json.contains("text"), "[CaptionedPictures] line ", number, " of ", file.string(),
                         " wanted an object with \"file_name\" and \"text\", found ", line.substr(0, 80));
      list.emplace_back(folder / text("file_name"), text("text"));
    }
    return list;
  }

  static List from_neighbours(const std::filesystem::path& folder) {
    List list;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".png") continue;
      auto beside = entry.path();
      beside.replace_extension(".txt");
      std::ifstream in(beside);
      REWARD_TUNER_CHECK(in.good(), "[CaptionedPictures] wanted a caption for ", entry.path().string(), " in ", beside.string(), " or a metadata.jsonl, found neither");
      std::ostringstream text;
      text << in.rdbuf();
      std::string caption = text.str();
      caption.erase(std::find_if(caption.rbegin(), caption.rend(), [](unsigned char c) { return c > ' '; }).base(), caption.end());
      list.emplace_back(entry.path(), std::move(caption));
    }
    std::sort(list.begin(), list.end());
    return list;
  }

  Tensor pixels_;  // uint8 [N,3,H,W]
  std::vector<std::string> captions_;
};

}  // namespace reward_tuner
