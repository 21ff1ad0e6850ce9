// Captioned images: both folder forms, and every way a folder can be wrong.
#include <doctest/doctest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <filesystem>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/run/captioned_images.hpp>

#include <tests/reference/test_folder.hpp>

namespace {

using namespace reward_tuner;

}  // namespace

TEST_CASE("captioned images come from neighbors or from metadata.jsonl, pixels exact") {
  const io_test::Folder folder;
  const Tensor a = at::arange(48, at::kFloat).view({3, 4, 4}) / 255, b = 1 - a;
  write_png(folder / "a.png", a);
  write_png(folder / "b.png", b);
  io_test::write_text(folder / "a.txt", "a red circle\n");
  io_test::write_text(folder / "b.txt", "two stars");
  const auto check = [&](const CaptionedImages& images, std::vector<std::string> captions) {
    CHECK(images.size() == 2);
    CHECK(images.captions() == captions);
    CHECK(at::allclose(images.images(at::tensor({1, 0, 1}, at::kLong))[1], a));
    CHECK(at::allclose(images.images(at::tensor({1, 0, 1}, at::kLong))[2], b));
  };
  check(CaptionedImages::from_folder(folder.path), {"a red circle", "two stars"});
  io_test::write_text(
      folder / "metadata.jsonl",
      "{\"file_name\": \"a.png\", \"text\": \"first\"}\n\n{\"file_name\": \"b.png\", \"text\": \"\", \"more\": 1}\n");
  check(CaptionedImages::from_folder(folder.path), {"first", ""});
  check(CaptionedImages::from_folder(folder.path, ImageLoading::kStreamed), {"first", ""});
}

TEST_CASE("streamed images are read when they are drawn, and checked then") {
  const io_test::Folder folder;
  for (const char* name : {"a", "b", "c"}) io_test::write_text(folder / (std::string(name) + ".txt"), name);
  write_png(folder / "a.png", at::ones({3, 4, 4}));
  write_png(folder / "b.png", at::ones({3, 4, 5}));
  write_png(folder / "c.png", at::ones({3, 4, 4}));
  const auto images = CaptionedImages::from_folder(folder.path, ImageLoading::kStreamed);
  CHECK(images.size() == 3);
  CHECK(images.images(at::tensor({2, 0}, at::kLong)).equal(at::ones({2, 3, 4, 4})));
  CHECK_THROWS_WITH_AS(images.images(at::tensor({1}, at::kLong)),
                       doctest::Contains("expected images of one size, got [3, 4, 4] and [3, 4, 5]"), Error);
  write_png(folder / "c.png", at::zeros({3, 4, 4}));  // what is drawn is what the file holds then
  CHECK(images.images(at::tensor({2}, at::kLong)).equal(at::zeros({1, 3, 4, 4})));
  std::filesystem::remove(folder / "c.png");
  CHECK_THROWS_WITH_AS(images.images(at::tensor({2}, at::kLong)), doctest::Contains("expected a readable file"), Error);
}

TEST_CASE("captions of any system: a byte order mark and CRLF are no text") {
  const io_test::Folder folder;
  write_png(folder / "a.png", at::ones({3, 4, 4}));
  write_png(folder / "B.PNG", at::zeros({3, 4, 4}));
  io_test::write_text(folder / "a.txt",
                      "\xEF\xBB\xBF"
                      "a red circle\r\n");
  io_test::write_text(folder / "B.txt", "two\r\nlines\r\n");
  CHECK(CaptionedImages::from_folder(folder.path).captions() == std::vector<std::string>{"two\nlines", "a red circle"});
  io_test::write_text(folder / "metadata.jsonl",
                      "\xEF\xBB\xBF{\"file_name\": \"a.png\", \"text\": \"first\"}\r\n\r\n"
                      "{\"file_name\": \"B.PNG\", \"text\": \"second\"}\r\n");
  CHECK(CaptionedImages::from_folder(folder.path).captions() == std::vector<std::string>{"first", "second"});
}

TEST_CASE("files of the folder that are not read are counted") {
  const io_test::Folder folder;
  write_png(folder / "a.png", at::ones({3, 4, 4}));
  write_png(folder / "b.png", at::ones({3, 4, 4}));
  for (const char* name : {"a.txt", "b.txt"}) io_test::write_text(folder / name, "x");
  const auto note = [&] {
    std::string text;
    const NoteScope scope([&](const std::string& sentence) { text += sentence; });
    CaptionedImages::from_folder(folder.path, ImageLoading::kStreamed);
    return text;
  };
  CHECK(note().empty());
  for (const char* name : {"c.webp", "d.txt"}) io_test::write_text(folder / name, "x");
  CHECK(note().ends_with(
      ": 2 of its files are neither PNG or JPEG images nor their captions and are not read, 'c.webp' among them"));
  for (const char* name : {"a.txt", "b.txt", "c.webp", "d.txt"}) std::filesystem::remove(folder / name);
  io_test::write_text(folder / "metadata.jsonl", "{\"file_name\": \"a.png\", \"text\": \"first\"}\n");
  CHECK(note().ends_with(": 1 of its files are not in metadata.jsonl and are not read, 'b.png' among them"));
}

TEST_CASE("what is wrong with captioned images is said") {
  const io_test::Folder folder;
  const auto fails = [&](const char* sentence) {
    CHECK_THROWS_WITH_AS(CaptionedImages::from_folder(folder.path), doctest::Contains(sentence), Error);
  };
  CHECK_THROWS_WITH_AS(CaptionedImages::from_folder(folder / "nothing"),
                       doctest::Contains("expected a folder of captioned images, got nothing at"), Error);
  fails("holds no PNG or JPEG images");
  io_test::write_text(folder / "x.webp", "");
  fails("holds no PNG or JPEG images; ");
  fails("'x.webp' among them");
  std::filesystem::remove(folder / "x.webp");
  write_png(folder / "a.png", at::ones({3, 4, 4}));
  fails("expected a caption for");
  io_test::write_text(folder / "a.txt", "x");
  write_png(folder / "b.png", at::ones({3, 4, 5}));
  io_test::write_text(folder / "b.txt", "y");
  fails("expected images of one size, got [3, 4, 4] and [3, 4, 5]");
  io_test::write_text(folder / "metadata.jsonl", "{\"file_name\": \"a.png\"}\n");
  fails("metadata.jsonl:1: expected a text field 'text', got none");
  io_test::write_text(folder / "metadata.jsonl", "{\"file_name\": \"a.png\", \"text\": \"ok\"}\nnot json\n");
  fails("metadata.jsonl:2: ");
  io_test::write_text(folder / "metadata.jsonl", "{\"file_name\": \"missing.png\", \"text\": \"ok\"}\n");
  fails("metadata.jsonl:1: expected the name of an image in the folder, got 'missing.png'");
  io_test::write_text(folder / "metadata.jsonl", "{\"file_name\": \"a.png\", \"text\": null}\n");
  fails("metadata.jsonl:1: expected text in the field 'text', got null");
  CHECK_THROWS_WITH_AS(CaptionedImages(at::ones({2, 3, 4, 4}), {"one"}),
                       doctest::Contains("expected one caption per image (2), got 1"), Error);
  CHECK_THROWS_WITH_AS(CaptionedImages(at::ones({3, 4, 4}), {"one"}), doctest::Contains("expected images [N,3,H,W]"),
                       Error);
}
