// Runs a fuzz target without libFuzzer: every file of a corpus, then seeded mutations of them, so that any compiler's
// test run covers the target. usage: replay_NAME CORPUS MUTATIONS [DICTIONARY]. An input that ends the program is left
// in crash-replay, in the working folder.
#include <unistd.h>
#include <fcntl.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::string current;  // what the signal handler writes

extern "C" void keep_input(int signal) {
  const int file = ::open("crash-replay", O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (file >= 0 && ::write(file, current.data(), current.size()) >= 0) ::close(file);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void try_one(std::string input) {
  current = std::move(input);
  try {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current.data()), current.size());
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "an exception came out: %s\n", problem.what());
    std::abort();
  }
}

/// The words of a libFuzzer dictionary: name="text" with \\, \" and \xNN.
std::vector<std::string> dictionary(const char* path) {
  std::vector<std::string> words;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto open = line.find('"'), close = line.rfind('"');
    if (line.starts_with("#") || open == std::string::npos || close == open) continue;
    std::string word;
    for (std::size_t i = open + 1; i < close; ++i) {
      if (line[i] != '\\') word += line[i];
      else if (line[i + 1] == 'x') word += static_cast<char>(std::stoi(line.substr(i + 2, 2), nullptr, 16)), i += 3;
      else word += line[++i];
    }
    words.push_back(word);
  }
  return words;
}

/// One to four changes: a bit, a byte, a deletion, a copied piece, a word of the dictionary, a piece of another seed.
std::string mutated(std::string text, const std::vector<std::string>& seeds, const std::vector<std::string>& words,
                    std::mt19937_64& rng) {
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(rng() % n); };
  for (std::size_t change = 1 + below(4); change > 0; --change) {
    const std::size_t at = below(text.size() + 1);
    switch (below(6)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 2:
        text.erase(at, 1 + below(16));
        break;
      case 3:
        text.insert(at, text.substr(below(text.size() + 1), 1 + below(16)));
        break;
      case 4:
        if (!words.empty()) text.insert(at, words[below(words.size())]);
        break;
      default: {
        const std::string& other = seeds[below(seeds.size())];
        text.insert(at, other.substr(below(other.size() + 1), 1 + below(64)));
      }
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE}) std::signal(signal, keep_input);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  if (seeds.empty()) return 2;
  const auto words = argc > 3 ? dictionary(argv[3]) : std::vector<std::string>();
  for (const auto& seed : seeds) try_one(seed);
  const long mutations = std::stol(argv[2]);
  std::mt19937_64 rng(20240607);
  for (long i = 0; i < mutations; ++i)
    try_one(mutated(seeds[static_cast<std::size_t>(rng() % seeds.size())], seeds, words, rng));
  std::printf("%zu seeds and %ld mutations went through\n", seeds.size(), mutations);
  return 0;
}
