// PNG and JPEG files against Pillow's pixels (tests/golden/make_image_file_golden.py), and the named errors.
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <torch/types.h>

#include <filesystem>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/report/image_file.hpp>
#include <reward_tuner/report/png.hpp>

#include <tests/reference/test_folder.hpp>

namespace image_file_test {
namespace {

using namespace reward_tuner;

const std::filesystem::path kFiles = std::filesystem::path(REWARD_TUNER_TEST_DATA) / "image_files";

}  // namespace

TEST_CASE("image files: PNG files have Pillow's pixels, JPEG files those within the format's rounding") {
  const auto expected = SafetensorsFile::open(kFiles / "expected.safetensors");
  REQUIRE(expected.names().size() == 9);
  for (const std::string& name : expected.names()) {
    CAPTURE(name);
    REQUIRE(is_image_name(name));
    const Tensor image = read_image(kFiles / name), wanted = expected.tensor(name);  // [3,H,W]
    REQUIRE((image.sizes() == wanted.sizes()));
    CHECK((image.scalar_type() == at::kFloat));
    const Tensor levels = (image * 255 - wanted).abs();
    CHECK(levels.max().item<double>() <= (name.ends_with(".png") ? 1e-4 : 4));
    CHECK(levels.mean().item<double>() <= (name.ends_with(".png") ? 1e-4 : 0.6));
  }
}

TEST_CASE("image files: names of images end in png, jpg or jpeg, in any case") {
  for (const char* name : {"a.png", "a.PNG", "b/c.Jpg", "d.jpeg"}) CHECK(is_image_name(name));
  for (const char* name : {"a.webp", "png", "a.png.txt", ".jpg", "a"}) CHECK_FALSE(is_image_name(name));
}

TEST_CASE("image files: other kinds, damaged and missing files are named errors") {
  const auto got = [](const std::string& bytes, const char* sentence) {
    CHECK_THROWS_WITH_AS(decode_image(bytes, "a.png"), doctest::Contains(sentence), Error);
  };
  got("GIF89a", "[ImageFile] expected a PNG or JPEG file in a.png, got a GIF file");
  got(std::string("RIFF\x10\0\0\0WEBPVP8 ", 16), "got a WebP file");
  got(std::string("\0\0\0\x1C", 4) + "ftypavif", "got an AVIF or HEIC file");
  got("II*", "got a TIFF file");
  got("hello", "got 5 bytes without the signature of either");
  got("", "got 0 bytes");
  const std::string png = encode_png(at::zeros({3, 9, 9})), jpeg = io_test::read_text(kFiles / "full.jpg");
  got(png.substr(0, 40), "expected a whole PNG file in a.png, got: ");
  got(png.substr(0, 8), "expected a whole PNG file");
  got(jpeg.substr(0, 30), "expected a whole JPEG file in a.png, got: ");
  const std::string preview("\xFF\xE1\x00\x06\xFF\xD8\xFF\xD9", 8), end = "\xFF\xD9";
  for (const char* name : {"full.jpg", "grey.jpg", "halved.jpeg", "progressive.JPG", "small.jpg"}) {
    CAPTURE(name);
    const std::string whole = io_test::read_text(kFiles / name), cut = whole.substr(0, whole.size() - end.size());
    const std::string previewed = whole.substr(0, 2) + preview + whole.substr(2);
    got(whole.substr(0, whole.size() / 2), "bytes without an end-of-image marker");
    got(previewed.substr(0, previewed.size() / 2), "bytes without an end-of-image marker");
    got(cut, "bytes without an end-of-image marker");
    got(cut + "\xFF", "bytes without an end-of-image marker");
    const Tensor image = decode_image(whole);
    for (const std::string& same : {previewed, cut + "\xFF" + end, whole + std::string(100, '\0'), whole + "behind it",
                                    whole + whole.substr(0, 99)})
      CHECK((at::equal(decode_image(same), image)));
  }
  const io_test::Folder folder;
  CHECK_THROWS_WITH_AS(read_image(folder / "a.png"), doctest::Contains("expected a readable file, got none at"), Error);
  CHECK_THROWS_AS(read_image(folder.path), Error);
}

}  // namespace image_file_test
