// Definitions of clip_image.hpp.
#pragma once
#include <reward_tuner/models/clip_image.hpp>

#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ClipImageOptions ClipImageOptions::load(const std::filesystem::path& folder,
                                                            const ClipImageOptions& fallback) {
  const auto nested = folder / "processor_config.json", own = folder / "preprocessor_config.json";
  if (std::filesystem::exists(nested)) {
    const nlohmann::json json = read_json(nested);
    REWARD_TUNER_CHECK(json.is_object(), "[ClipImage] ", nested.string(), " must be an object, got ", json.type_name());
    if (json.contains("image_processor")) return from_json(json.at("image_processor"), nested.string());
  }
  return std::filesystem::exists(own) ? from_json(read_json(own), own.string()) : fallback;
}

REWARD_TUNER_INLINE ClipImageOptions ClipImageOptions::from_json(const nlohmann::json& json, const std::string& where) {
  ClipImageOptions o;
  ConfigReader reader(json, where);
  const auto side = [&](const char* key, std::vector<const char*> parts, std::int64_t fallback) {
    if (!reader.has_value(key)) return fallback;
    const nlohmann::json& value = json.at(key);
    if (value.is_number_integer()) return value.get<std::int64_t>();
    bool fits = value.is_object() && value.size() == parts.size();
    for (const char* part : parts)
      fits = fits && value.contains(part) && value[part].is_number_integer() && value[part] == value[parts.front()];
    REWARD_TUNER_CHECK(fits, "[ClipImage] ", where, ": \"", key, "\" must be a number or an object with the key(s) ",
                       parts.front(), parts.size() > 1 ? " and width, both equal" : "", ", got ", value.dump());
    return value[parts.front()].get<std::int64_t>();
  };
  const auto channels = [&](const char* key, std::array<double, 3> fallback) {
    const auto values = reader.optional<std::vector<double>>(key, {fallback.begin(), fallback.end()});
    REWARD_TUNER_CHECK(values.size() == 3, "[ClipImage] ", where, ": \"", key, "\" must hold 3 numbers, got ",
                       values.size());
    return std::array<double, 3>{values[0], values[1], values[2]};
  };
  o.shortest_edge = side("size", {"shortest_edge"}, o.shortest_edge);
  o.crop_size = side("crop_size", {"height", "width"}, o.shortest_edge);
  o.mean = channels("image_mean", o.mean);
  o.deviation = channels("image_std", o.deviation);
  for (const char* step : {"do_resize", "do_center_crop", "do_rescale", "do_normalize"})
    reader.expect(step, true, "CLIP's preprocessing has this step");
  reader.expect("resample", 3, "only bicubic resizing (3) is supported");
  reader.expect("do_pad", false, "CLIP's preprocessing pads nothing");
  const double rescale = reader.optional<double>("rescale_factor", 1.0 / 255);
  REWARD_TUNER_CHECK(std::abs(rescale * 255 - 1) < 1e-6, "[ClipImage] ", where,
                     ": \"rescale_factor\" must be 1/255, got ", rescale);
  reader.ignore({"do_convert_rgb", "image_processor_type", "feature_extractor_type", "processor_class", "data_format",
                 "input_data_format", "return_tensors", "default_to_square", "device", "disable_grouping", "pad_size",
                 "image_seq_length"});
  reader.finish();
  o.check();
  return o;
}

REWARD_TUNER_INLINE void ClipImageOptions::check() const {
  REWARD_TUNER_CHECK(crop_size > 0 && crop_size <= shortest_edge,
                     "[ClipImage] crop_size must be in [1, shortest_edge], got crop_size ", crop_size,
                     " and shortest_edge ", shortest_edge);
  REWARD_TUNER_CHECK(std::all_of(deviation.begin(), deviation.end(), [](double s) { return s > 0; }),
                     "[ClipImage] deviations must be positive, got ", deviation[0], ", ", deviation[1], ", ",
                     deviation[2]);
}

REWARD_TUNER_INLINE Tensor ClipImagePreprocessor::operator()(const Tensor& images) const {
  REWARD_TUNER_CHECK(images.defined() && images.dim() == 4 && images.size(1) == 3 && images.size(2) > 0 &&
                         images.size(3) > 0 && images.is_floating_point(),
                     "[ClipImage] images must be floating point [B,3,H,W], got ",
                     images.defined() ? images.toString() : std::string("undefined"), " ",
                     images.defined() ? images.sizes() : at::IntArrayRef());
  const std::int64_t h = images.size(2), w = images.size(3), edge = options_.shortest_edge, crop = options_.crop_size;
  const auto longer =
      static_cast<std::int64_t>(static_cast<double>(edge * std::max(h, w)) / static_cast<double>(std::min(h, w)));
  const std::int64_t new_h = h <= w ? edge : longer, new_w = h <= w ? longer : edge;
  Tensor x = images;  // [B,3,H,W]
  // [B,3,H',W']
  if (new_h != h || new_w != w) x = at::_upsample_bicubic2d_aa(x, {new_h, new_w}, /*align_corners=*/false);
  // [B,3,S,S]
  x = x.slice(2, (new_h - crop) / 2, (new_h - crop) / 2 + crop).slice(3, (new_w - crop) / 2, (new_w - crop) / 2 + crop);
  const auto channels = [&](const std::array<double, 3>& values) {
    // [1,3,1,1]
    return at::tensor(at::ArrayRef<double>(values.data(), 3), at::kDouble).to(x.options()).view({1, 3, 1, 1});
  };
  return (x - channels(options_.mean)) / channels(options_.deviation);  // [B,3,S,S]
}

}  // namespace reward_tuner
