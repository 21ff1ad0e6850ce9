// Folders: made, listed and flushed, with errors that name folder and reason.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace reward_tuner {

/// Makes the folder, and those above it that are missing. Errors: it cannot be made.
void make_folder(const std::filesystem::path& folder);

/// The names of what the folder holds, in order; none where there is no folder. Errors: it cannot be read.
std::vector<std::string> names_in(const std::filesystem::path& folder);

/// Brings new names in the folder to the disk. A file system that cannot flush a folder is let through, and so is a
/// folder that may be written but not read. Errors: it cannot be flushed.
void flush_folder(const std::filesystem::path& folder);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/folder.ipp>
#endif
