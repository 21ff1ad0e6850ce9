// Scores of image files by several rewards: what `rt-tune score` measures.
#pragma once
#include <c10/core/Device.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/rewards/any_reward.hpp>

namespace reward_tuner {

/// The PNG and JPEG files that a path names: itself, or, of a folder, those in it and in its folders, in the order of
/// their paths, whose numbers count as numbers (2.png before 10.png). A note counts the other files of a folder.
/// Errors: nothing at the path, a folder without such files.
std::vector<std::filesystem::path> image_files(const std::filesystem::path& path);

/// How image files are scored.
struct ImageScoreOptions {
  int batch = 16;                  ///< images of one size at a time; rewards of groups see all at once
  c10::Device device = c10::kCPU;  ///< where the rewards get them
};

/// The scores of N images.
struct ImageScores {
  std::map<std::string, std::vector<double>> values;  ///< name of a reward or of its component -> [N]
  std::map<std::string, double> means = {};           ///< over the images, as evaluations report them
};

/// Scores image files, each with its prompt; images of one prompt are a group. Images may have different sizes, but not
/// for a reward that scores groups. Names are those of an evaluation (run/metric_names.hpp).
/// Errors: numbers of files and prompts that differ, none, a batch < 1, files that are neither PNG nor JPEG images,
/// images of different sizes for a reward of groups, a score that is not finite (which is named with its file).
ImageScores score_images(const std::vector<std::filesystem::path>& files, const std::vector<std::string>& prompts,
                         const std::vector<EvaluationReward>& rewards, const ImageScoreOptions& options = {});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/image_scores.ipp>
#endif
