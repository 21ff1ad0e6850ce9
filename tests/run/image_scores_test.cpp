// Scores of image files: their order, batches, sizes, groups, and named errors.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/report/image_file.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/image_reward.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/objectness.hpp>
#include <reward_tuner/run/image_scores.hpp>

#include <tests/reference/golden_reward_models.hpp>
#include <tests/reference/test_folder.hpp>

namespace image_scores_test {
namespace {

using namespace reward_tuner;

/// The number of its images' groups whose prompt is that of the image: how many images it was shown with.
struct GroupSize {
  using Role = RewardRole;
  static constexpr bool kDifferentiable = false, kPerGroup = true;
  static constexpr std::string_view kName = "group_size";
  RewardResult score(const RewardInput& input) const {
    const Tensor together = input.group_ids.unsqueeze(0) == input.group_ids.unsqueeze(1);  // bool [N,N]
    return {together.sum(1).to(at::kDouble)};                                              // [N]
  }
};

auto brightness(const std::shared_ptr<std::vector<std::int64_t>>& batches = nullptr) {
  return AnyReward(black_box([batches](const Tensor& images) {
    if (batches) batches->push_back(images.size(0));
    return images.mean({1, 2, 3});
  }));
}

/// A grey image of this level out of 255.
void write_grey(const std::filesystem::path& file, double level, std::int64_t side = 4) {
  std::filesystem::create_directories(file.parent_path());
  write_png(file, at::full({3, side, side}, level / 255));
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& file : image_files(folder)) names.push_back(file.lexically_relative(folder).string());
  return names;
}

}  // namespace

TEST_CASE("image files come in the order of their names, numbers as numbers, and folders within a folder too") {
  const io_test::Folder folder;
  for (const char* name :
       {"10.png", "2.png", "01.png", "1.png", "3.PNG", "a/samples/0001.png", "a/samples/0000.png", "b.png"})
    write_grey(folder / name, 1);
  io_test::write_text(folder / "notes.txt", "x");
  CHECK(names_in(folder.path) == std::vector<std::string>{"01.png", "1.png", "2.png", "3.PNG", "10.png",
                                                          "a/samples/0000.png", "a/samples/0001.png", "b.png"});
  const std::filesystem::path golden = std::filesystem::path(REWARD_TUNER_TEST_DATA) / "image_files";
  for (const char* name : {"grey.jpg", "halved.jpeg", "progressive.JPG"})
    std::filesystem::copy_file(golden / name, folder / "a/samples" / name);
  CHECK(names_in(folder / "a") == std::vector<std::string>{"samples/0000.png", "samples/0001.png", "samples/grey.jpg",
                                                           "samples/halved.jpeg", "samples/progressive.JPG"});
  CHECK(image_files(folder / "2.png") == std::vector<std::filesystem::path>{folder / "2.png"});
  CHECK_THROWS_WITH_AS(image_files(folder / "none"), doctest::Contains("got nothing at"), Error);
  std::filesystem::create_directories(folder / "texts");
  io_test::write_text(folder / "texts/a.webp", "x");
  CHECK_THROWS_WITH_AS(image_files(folder / "texts"),
                       doctest::Contains("got none; 1 of its files are not read, 'a.webp' among them"), Error);
}

TEST_CASE("each image has its own scores, whatever the batch and the sizes, and the means are over all") {
  const io_test::Folder folder;
  const std::vector<double> levels = {0, 51, 102, 153, 255};
  std::vector<std::filesystem::path> files;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    files.push_back(folder / (std::to_string(i) + ".png"));
    write_grey(files.back(), levels[i], i == 2 ? 6 : 4);
  }
  const std::vector<std::string> prompts(5, "a");
  for (const int batch : {1, 2, 16}) {
    const auto batches = std::make_shared<std::vector<std::int64_t>>();
    const ImageScores scores = score_images(
        files, prompts, {{"bright", brightness(batches)}, {"jpeg", AnyReward(JpegErrorReward())}}, {.batch = batch});
    CHECK(scores.values.size() == 3);  // with the component jpeg_error
    for (std::size_t i = 0; i < levels.size(); ++i)
      CHECK(scores.values.at("bright")[i] == doctest::Approx(levels[i] / 255).epsilon(1e-6));
    CHECK(scores.means.at("bright") == doctest::Approx(0.44));
    for (std::size_t i = 0; i < levels.size(); ++i)
      CHECK(scores.values.at("jpeg")[i] == -scores.values.at("jpeg_error")[i]);
    if (batch == 16) CHECK(*batches == std::vector<std::int64_t>{2, 1, 2});
  }
}

TEST_CASE("scores of learned rewards are those of the Python originals, whatever the batch") {
  const golden::BlipFolder blip;
  const golden::OwlVitFolder owl;
  const nlohmann::json want = read_json(golden::kData / "scores.json");
  std::vector<std::filesystem::path> files;
  for (const auto& name : want["files"]) files.push_back(golden::kData / "image_files" / name.get<std::string>());
  const std::vector<EvaluationReward> rewards = {
      {"clip_score", AnyReward(ClipScoreReward(ClipModel::load(golden::kData / "clip")))},
      {"image_reward", AnyReward(ImageReward::load(blip.path))},
      {"objectness", AnyReward(ObjectnessReward(OwlVitModel::load(owl.path)))}};
  for (const int batch : {1, 16}) {
    const ImageScores scores =
        score_images(files, want["prompts"].get<std::vector<std::string>>(), rewards, {.batch = batch});
    for (const auto& score : want["scores"].items())
      for (std::size_t i = 0; i < files.size(); ++i) {
        CAPTURE(score.key());
        CAPTURE(i);
        CHECK(std::abs(scores.values.at(score.key())[i] - score.value()[i].get<double>()) < 1e-5);
      }
  }
}

TEST_CASE("JPEG files are scored as PNG files of their pixels") {
  const io_test::Folder folder;
  const std::filesystem::path jpeg = std::filesystem::path(REWARD_TUNER_TEST_DATA) / "image_files" / "halved.jpeg";
  write_png(folder / "same.png", read_image(jpeg));
  const ImageScores scores =
      score_images({jpeg, folder / "same.png"}, {"a", "a"}, {{"jpeg", AnyReward(JpegErrorReward())}});
  CHECK(scores.values.at("jpeg")[0] == scores.values.at("jpeg")[1]);
}

TEST_CASE("rewards of groups see all images at once, those of one prompt as a group") {
  const io_test::Folder folder;
  for (const char* name : {"1.png", "2.png", "3.png"}) write_grey(folder / name, 9);
  const auto files = image_files(folder.path);
  const std::vector<EvaluationReward> rewards = {{"size", AnyReward(GroupSize())}, {"bright", brightness()}};
  const ImageScores scores = score_images(files, {"a", "b", "a"}, rewards, {.batch = 1});
  CHECK(scores.values.at("size") == std::vector<double>{2, 1, 2});
  CHECK(scores.values.at("bright").size() == 3);
  write_grey(folder / "3.png", 9, 5);
  CHECK_THROWS_WITH_AS(score_images(files, {"a", "b", "a"}, rewards),
                       doctest::Contains("expected images of one size for rewards of groups"), Error);
}

TEST_CASE("files, prompts and scores that make no sense are named errors") {
  const io_test::Folder folder;
  write_grey(folder / "1.png", 9);
  const auto files = image_files(folder.path);
  CHECK_THROWS_WITH_AS(score_images(files, {"a", "b"}, {{"bright", brightness()}}),
                       "[ImageScores] expected images and a prompt for each, got 1 images and 2 prompts", Error);
  CHECK_THROWS_WITH_AS(score_images(files, {"a"}, {{"bright", brightness()}}, {.batch = 0}),
                       "[ImageScores] batch must be >= 1, got 0", Error);
  const AnyReward broken(black_box([](const Tensor& images) {
    return at::full({images.size(0)}, std::numeric_limits<double>::quiet_NaN(), images.options());
  }));
  CHECK_THROWS_WITH_AS(score_images(files, {"a"}, {{"broken", broken}}),
                       doctest::Contains("[ImageScores] expected a finite broken, got nan for "), Error);
  io_test::write_text(folder / "1.png", "GIF89a");
  CHECK_THROWS_WITH_AS(score_images(files, {"a"}, {{"bright", brightness()}}), doctest::Contains("1.png"), Error);
}

}  // namespace image_scores_test
