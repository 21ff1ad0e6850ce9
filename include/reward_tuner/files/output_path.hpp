// Places that will be written after long work, checked before it.
#pragma once
#include <filesystem>

namespace reward_tuner {

/// Makes a folder with those above it, unless it is there, so that files can be written into it later.
/// Errors: something that is no folder stands in its way, no permission, a read-only file system.
void prepare_output_folder(const std::filesystem::path& folder);

/// The same for the folder of a file that will be written. Errors: also a path that is a folder.
void prepare_output_file(const std::filesystem::path& file);

/// Whether prepare_output_folder would do, without making anything: for programs that make a folder only when all else
/// is known to be right. Errors: as there.
void check_output_folder(const std::filesystem::path& folder);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/output_path.ipp>
#endif
