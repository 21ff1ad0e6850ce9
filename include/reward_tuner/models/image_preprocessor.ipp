// Definitions of image_preprocessor.hpp.
#pragma once
#include <reward_tuner/models/image_preprocessor.hpp>

#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/upsample_bicubic2d.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/config_limits.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE std::array<double, 3> channel_numbers(ConfigReader& reader, const std::string& key,
                                                          const std::array<double, 3>& fallback) {
  const auto values = reader.optional<std::vector<double>>(key, {fallback.begin(), fallback.end()});
  REWARD_TUNER_CHECK(values.size() == 3, "[ImagePreprocessor] ", reader.where(), ": expected 3 numbers in ", key,
                     ", got ", values.size());
  return {values[0], values[1], values[2]};
}

}  // namespace detail

REWARD_TUNER_INLINE ImagePreprocessorOptions ImagePreprocessorOptions::load(const std::filesystem::path& folder,
                                                                            const ImagePreprocessorOptions& fallback) {
  const auto nested = folder / "processor_config.json", own = folder / "preprocessor_config.json";
  if (std::filesystem::exists(nested)) {
    const nlohmann::json json = read_json(nested);
    REWARD_TUNER_CHECK(json.is_object(), "[ImagePreprocessor] ", nested.string(), " must be an object, got ",
                       json.type_name());
    if (json.contains("image_processor")) return from_json(json.at("image_processor"), nested.string());
  }
  return std::filesystem::exists(own) ? from_json(read_json(own), own.string()) : fallback;
}

REWARD_TUNER_INLINE ImagePreprocessorOptions ImagePreprocessorOptions::from_json(const nlohmann::json& json,
                                                                                 const std::string& where) {
  ImagePreprocessorOptions o;
  ConfigReader reader(json, where);
  // a number, a list of two, or an object with `keys`; all numbers equal
  const auto length = [&](const char* key, std::initializer_list<const char*> keys, std::int64_t fallback) {
    if (!reader.has_value(key)) return fallback;
    const nlohmann::json& value = json.at(key);
    std::vector<nlohmann::json> numbers;
    if (value.is_object()) {
      for (const char* part : keys) numbers.push_back(value.value(part, nlohmann::json()));
      if (value.size() != keys.size()) numbers.clear();
    } else if (value.is_array()) {
      numbers.assign(value.begin(), value.end());
    } else {
      numbers = {value};
    }
    const bool fits = !numbers.empty() && std::ranges::all_of(numbers, [&](const nlohmann::json& number) {
      return number.is_number_integer() && number == numbers.front();
    });
    REWARD_TUNER_CHECK(fits, "[ImagePreprocessor] ", where, ": \"", key,
                       "\" must be a number or an object with the key(s) ", *keys.begin(),
                       keys.size() > 1 ? " and width, both equal" : "", ", got ", value.dump());
    return numbers.front().get<std::int64_t>();
  };
  // "size" names the rule: one number or a shortest edge, or height and width
  const bool square = reader.has_value("size") && (json.at("size").is_array() || json.at("size").contains("height"));
  if (square) {
    o.rule = ResizeRule::kSquare;
    o.edge = o.side = length("size", {"height", "width"}, o.edge);
    reader.ignore({"crop_size"});  // written even where nothing is cropped
    const bool crops = reader.optional<bool>("do_center_crop", false);
    REWARD_TUNER_CHECK(!crops || length("crop_size", {"height", "width"}, o.edge) == o.edge, "[ImagePreprocessor] ",
                       where, ": a square must not be cropped, expected crop_size ", o.edge, ", got ",
                       json.at("crop_size").dump());
  } else {
    o.edge = length("size", {"shortest_edge"}, o.edge);
    o.side = length("crop_size", {"height", "width"}, o.edge);
    reader.expect("do_center_crop", true, "without it images of other shapes are no squares");
  }
  o.mean = detail::channel_numbers(reader, "image_mean", o.mean);
  o.deviation = detail::channel_numbers(reader, "image_std", o.deviation);
  for (const char* step : {"do_resize", "do_rescale", "do_normalize"})
    reader.expect(step, true, "the preprocessing has this step");
  reader.expect("resample", 3, "only bicubic resizing (3) is supported");
  reader.expect("do_pad", false, "the preprocessing pads nothing");
  const double rescale = reader.optional<double>("rescale_factor", 1.0 / 255);
  REWARD_TUNER_CHECK(std::abs(rescale * 255 - 1) < 1e-6, "[ImagePreprocessor] ", where,
                     ": \"rescale_factor\" must be 1/255, got ", rescale);
  reader.ignore({"do_convert_rgb", "image_processor_type", "feature_extractor_type", "processor_class", "data_format",
                 "input_data_format", "return_tensors", "default_to_square", "device", "disable_grouping", "pad_size",
                 "image_seq_length"});
  reader.finish();
  o.check();
  return o;
}

REWARD_TUNER_INLINE void ImagePreprocessorOptions::check() const {
  if (rule == ResizeRule::kShortestEdge)
    REWARD_TUNER_CHECK(side > 0 && side <= edge,
                       "[ImagePreprocessor] the crop must fit: expected side (crop_size) in [1, edge], got side ", side,
                       " and edge ", edge);
  else
    REWARD_TUNER_CHECK(side > 0 && side == edge,
                       "[ImagePreprocessor] nothing is cropped: expected side equal to edge and positive, got side ",
                       side, " and edge ", edge);
  detail::check_at_most("ImagePreprocessor", "edge", {edge}, ConfigLimits::kSide);
  REWARD_TUNER_CHECK(std::ranges::all_of(mean, [](double m) { return std::isfinite(m); }),
                     "[ImagePreprocessor] expected finite means, got ", mean[0], ", ", mean[1], ", ", mean[2]);
  REWARD_TUNER_CHECK(std::ranges::all_of(deviation, [](double s) { return s > 0 && std::isfinite(s); }),
                     "[ImagePreprocessor] deviations must be positive, got ", deviation[0], ", ", deviation[1], ", ",
                     deviation[2]);
}

REWARD_TUNER_INLINE std::pair<std::int64_t, std::int64_t> ImagePreprocessor::resized(std::int64_t height,
                                                                                     std::int64_t width) const {
  const std::int64_t edge = options_.edge, longest = std::max(height, width), shortest = std::min(height, width);
  switch (options_.rule) {
    case ResizeRule::kShortestEdge: {
      const auto longer =
          static_cast<std::int64_t>(static_cast<double>(edge * longest) / static_cast<double>(shortest));
      return height <= width ? std::pair(edge, longer) : std::pair(longer, edge);
    }
    case ResizeRule::kLongestEdge: {
      const double scale = static_cast<double>(edge) / static_cast<double>(longest);
      const auto scaled = [&](std::int64_t extent) {  // rounds halves to even, as Python does
        return std::max<std::int64_t>(1, std::llrint(static_cast<double>(extent) * scale));
      };
      return {scaled(height), scaled(width)};
    }
    case ResizeRule::kSquare:
      break;
  }
  return {edge, edge};
}

REWARD_TUNER_INLINE Tensor ImagePreprocessor::operator()(const Tensor& images) const {
  REWARD_TUNER_CHECK(images.defined() && images.dim() == 4 && images.size(1) == 3 && images.size(2) > 0 &&
                         images.size(3) > 0 && images.is_floating_point(),
                     "[ImagePreprocessor] images must be floating point [B,3,H,W], got ",
                     images.defined() ? images.toString() : std::string("undefined"), " ",
                     images.defined() ? images.sizes() : at::IntArrayRef());
  const std::int64_t side = options_.side;
  const auto [height, width] = resized(images.size(2), images.size(3));
  Tensor x = images;  // [B,3,H,W]
  if (height != x.size(2) || width != x.size(3))
    x = options_.antialias ? at::_upsample_bicubic2d_aa(x, {height, width}, /*align_corners=*/false)
                           : at::upsample_bicubic2d(x, {height, width}, /*align_corners=*/false);  // [B,3,H',W']
  if (options_.rule == ResizeRule::kLongestEdge) {
    const std::int64_t rows = side - height, columns = side - width;
    // [B,3,S,S]
    x = at::constant_pad_nd(x, {columns / 2, columns - columns / 2, rows / 2, rows - rows / 2});
  } else {
    const auto start = [&](std::int64_t extent) -> std::int64_t {
      return options_.crop_start == CropStart::kFloor ? (extent - side) / 2
                                                      : std::llrint(static_cast<double>(extent - side) / 2);
    };
    x = x.narrow(2, start(height), side).narrow(3, start(width), side);  // [B,3,S,S]
  }
  const auto channels = [&](const std::array<double, 3>& values) {
    // [1,3,1,1]
    return beside(x, at::tensor(at::ArrayRef<double>(values.data(), 3), at::kDouble).to(x.scalar_type()))
        .view({1, 3, 1, 1});
  };
  return (x - channels(options_.mean)) / channels(options_.deviation);  // [B,3,S,S]
}

}  // namespace reward_tuner
