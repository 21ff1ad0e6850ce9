// Atomic files: the old file or the new one, whatever goes wrong in between.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/atomic_file.hpp>

using namespace reward_tuner;

namespace atomic_file_test {
namespace {

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("reward_tuner_atomic_" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() {
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::filesystem::remove_all(path);
  }
  std::ptrdiff_t files() const { return std::distance(std::filesystem::directory_iterator(path), {}); }
};

std::string content(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// Files of this process may not grow beyond `bytes` while it lives: a stand-in for a full disk.
struct SizeLimit {
  ::rlimit before{};
  void (*handler)(int);
  explicit SizeLimit(::rlim_t bytes) : handler(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before);
    const ::rlimit now{bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
  }
};

}  // namespace

TEST_CASE("atomic_file: creates, replaces, and writes in pieces") {
  const Folder folder;
  const auto path = folder.path / "f";
  write_file_atomically(path, "one");
  CHECK(content(path) == "one");
  write_file_atomically(path, [](FileSink& sink) {
    sink.write("two ");
    sink.write(std::string(100000, 'x'));
    CHECK(sink.size() == 100004);
  });
  CHECK(content(path) == "two " + std::string(100000, 'x'));
  write_file_atomically(path, std::string_view());
  CHECK(content(path).empty());
  CHECK(folder.files() == 1);
}

TEST_CASE("atomic_file: a new file has the permissions that the process gives to new files") {
  const Folder folder;
  write_file_atomically(folder.path / "a", "a");
  std::ofstream(folder.path / "b") << "b";
  CHECK(std::filesystem::status(folder.path / "a").permissions() ==
        std::filesystem::status(folder.path / "b").permissions());
}

TEST_CASE("atomic_file: an exception of the callback leaves the old file and nothing else") {
  const Folder folder;
  const auto path = folder.path / "f";
  write_file_atomically(path, "old");
  CHECK_THROWS_AS(write_file_atomically(path,
                                        [&](FileSink& sink) {
                                          sink.write("half of the new");
                                          CHECK(content(path) == "old");
                                          throw std::runtime_error("stop");
                                        }),
                  std::runtime_error);
  CHECK(content(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("atomic_file: no room for the bytes is a named error that leaves the old file") {
  const Folder folder;
  const auto path = folder.path / "f";
  write_file_atomically(path, "old");
  {
    const SizeLimit limit(1000);
    CHECK_THROWS_WITH_AS(write_file_atomically(path, std::string(5000, 'x')), doctest::Contains("size limit"), Error);
  }
  CHECK(content(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("atomic_file: a full device is named as such") {
  if (!std::filesystem::exists("/dev/full")) return;
  CHECK_THROWS_WITH_AS(reward_tuner::detail::file_failure("f", "write", ENOSPC), doctest::Contains("the disk is full"),
                       Error);
  CHECK_THROWS_WITH_AS(reward_tuner::detail::file_failure("f", "write", EROFS), doctest::Contains("read-only"), Error);
}

TEST_CASE("atomic_file: places where no file can be") {
  const Folder folder;
  CHECK_THROWS_WITH_AS(write_file_atomically(folder.path / "no" / "f", "x"), doctest::Contains("does not exist"),
                       Error);
  CHECK_THROWS_WITH_AS(write_file_atomically(folder.path, "x"), doctest::Contains("it is a folder"), Error);
  CHECK_THROWS_WITH_AS(write_file_atomically("", "x"), doctest::Contains("path of a file"), Error);
  CHECK_THROWS_AS(write_file_atomically(folder.path / std::string(300, 'n'), "x"), Error);
  CHECK(folder.files() == 0);
  if (::geteuid() != 0) {  // root may write anywhere
    std::filesystem::permissions(folder.path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    CHECK_THROWS_WITH_AS(write_file_atomically(folder.path / "f", "x"), doctest::Contains("no permission"), Error);
  }
}

TEST_CASE("atomic_file: a symbolic link stays one and its target changes") {
  const Folder folder;
  write_file_atomically(folder.path / "target", "old");
  std::filesystem::create_symlink("target", folder.path / "link");
  write_file_atomically(folder.path / "link", "new");
  CHECK(std::filesystem::is_symlink(folder.path / "link"));
  CHECK(content(folder.path / "target") == "new");
}

TEST_CASE("atomic_file: readers during many replacements see whole files only") {
  const Folder folder;
  const auto path = folder.path / "f";
  write_file_atomically(path, std::string(4096, 'a'));
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) write_file_atomically(path, std::string(4096, static_cast<char>('a' + i % 26)));
  });
  int torn = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string text = content(path);
    torn += text.size() != 4096 || text.find_first_not_of(text[0]) != std::string::npos;
  }
  writer.join();
  CHECK(torn == 0);
  CHECK(folder.files() == 1);
}

}  // namespace atomic_file_test
