// What reads PNG and JPEG in stb_image and writes PNG in stb_image_write, compiled privately into the including unit:
// nothing of it is exported, so a host program that uses stb itself keeps its own copy.
#pragma once

#if !__has_include(<stb/stb_image.h>) || !__has_include(<stb/stb_image_write.h>)
#error "[RewardTuner] PNG and JPEG files need stb (Debian: libstb-dev): stb/stb_image.h and stb/stb_image_write.h"
#endif

// Everything stb includes comes first, because its text is placed inside a namespace below.
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>  // IWYU pragma: keep
#include <stdlib.h>
#include <string.h>  // IWYU pragma: keep

// A host may have included stb with its own settings before us, or may do so after us: set its macros aside and bring
// them back.
#pragma push_macro("STBI_INCLUDE_STB_IMAGE_H")
#pragma push_macro("INCLUDE_STB_IMAGE_WRITE_H")
#pragma push_macro("STB_IMAGE_IMPLEMENTATION")
#pragma push_macro("STB_IMAGE_WRITE_IMPLEMENTATION")
#pragma push_macro("STB_IMAGE_STATIC")
#pragma push_macro("STB_IMAGE_WRITE_STATIC")
#pragma push_macro("STBIDEF")
#pragma push_macro("STBIWDEF")
#pragma push_macro("STBI_ONLY_PNG")
#pragma push_macro("STBI_ONLY_JPEG")
#pragma push_macro("STBI_NO_STDIO")
#pragma push_macro("STBI_WRITE_NO_STDIO")
#pragma push_macro("STBI_NO_SIMD")
#pragma push_macro("STBI_NO_FAILURE_STRINGS")
#pragma push_macro("STBI_FAILURE_USERMSG")
#pragma push_macro("STBI_NO_JPEG")
#pragma push_macro("STBI_NO_BMP")
#pragma push_macro("STBI_NO_PSD")
#pragma push_macro("STBI_NO_TGA")
#pragma push_macro("STBI_NO_GIF")
#pragma push_macro("STBI_NO_HDR")
#pragma push_macro("STBI_NO_PIC")
#pragma push_macro("STBI_NO_PNM")
#pragma push_macro("STBI_NO_LINEAR")
#pragma push_macro("stbi__err")  // a macro over a function of the same name: it would break a second reading of stb
#undef STBI_INCLUDE_STB_IMAGE_H
#undef INCLUDE_STB_IMAGE_WRITE_H
#undef STBIDEF
#undef STBIWDEF
#undef STBI_NO_FAILURE_STRINGS
#undef STB_IMAGE_IMPLEMENTATION
#undef STB_IMAGE_WRITE_IMPLEMENTATION
#undef STB_IMAGE_STATIC
#undef STB_IMAGE_WRITE_STATIC
#undef STBI_ONLY_PNG
#undef STBI_ONLY_JPEG
#undef STBI_NO_STDIO
#undef STBI_WRITE_NO_STDIO
#undef STBI_NO_SIMD
#undef STBI_FAILURE_USERMSG
#undef STBI_NO_LINEAR
#undef stbi__err
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STB_IMAGE_WRITE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_WRITE_NO_STDIO
#define STBI_NO_SIMD
#define STBI_FAILURE_USERMSG
#define STBI_NO_LINEAR

// stb_image declares its functions extern "C": without other names a host's calls in this unit would reach our copies,
// which know fewer kinds.
#define stbi_convert_iphone_png_to_rgb reward_tuner_stbi_convert_iphone_png_to_rgb
#define stbi_convert_iphone_png_to_rgb_thread reward_tuner_stbi_convert_iphone_png_to_rgb_thread
#define stbi_failure_reason reward_tuner_stbi_failure_reason
#define stbi_hdr_to_ldr_gamma reward_tuner_stbi_hdr_to_ldr_gamma
#define stbi_hdr_to_ldr_scale reward_tuner_stbi_hdr_to_ldr_scale
#define stbi_image_free reward_tuner_stbi_image_free
#define stbi_info_from_callbacks reward_tuner_stbi_info_from_callbacks
#define stbi_info_from_memory reward_tuner_stbi_info_from_memory
#define stbi_is_16_bit_from_callbacks reward_tuner_stbi_is_16_bit_from_callbacks
#define stbi_is_16_bit_from_memory reward_tuner_stbi_is_16_bit_from_memory
#define stbi_is_hdr_from_callbacks reward_tuner_stbi_is_hdr_from_callbacks
#define stbi_is_hdr_from_memory reward_tuner_stbi_is_hdr_from_memory
#define stbi_ldr_to_hdr_gamma reward_tuner_stbi_ldr_to_hdr_gamma
#define stbi_ldr_to_hdr_scale reward_tuner_stbi_ldr_to_hdr_scale
#define stbi_load_16_from_callbacks reward_tuner_stbi_load_16_from_callbacks
#define stbi_load_16_from_memory reward_tuner_stbi_load_16_from_memory
#define stbi_load_from_callbacks reward_tuner_stbi_load_from_callbacks
#define stbi_load_from_memory reward_tuner_stbi_load_from_memory
#define stbi_load_gif_from_memory reward_tuner_stbi_load_gif_from_memory
#define stbi_loadf_from_callbacks reward_tuner_stbi_loadf_from_callbacks
#define stbi_loadf_from_memory reward_tuner_stbi_loadf_from_memory
#define stbi_set_flip_vertically_on_load reward_tuner_stbi_set_flip_vertically_on_load
#define stbi_set_flip_vertically_on_load_thread reward_tuner_stbi_set_flip_vertically_on_load_thread
#define stbi_set_unpremultiply_on_load reward_tuner_stbi_set_unpremultiply_on_load
#define stbi_set_unpremultiply_on_load_thread reward_tuner_stbi_set_unpremultiply_on_load_thread
#define stbi_zlib_decode_buffer reward_tuner_stbi_zlib_decode_buffer
#define stbi_zlib_decode_malloc reward_tuner_stbi_zlib_decode_malloc
#define stbi_zlib_decode_malloc_guesssize reward_tuner_stbi_zlib_decode_malloc_guesssize
#define stbi_zlib_decode_malloc_guesssize_headerflag reward_tuner_stbi_zlib_decode_malloc_guesssize_headerflag
#define stbi_zlib_decode_noheader_buffer reward_tuner_stbi_zlib_decode_noheader_buffer
#define stbi_zlib_decode_noheader_malloc reward_tuner_stbi_zlib_decode_noheader_malloc

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wsign-compare"
#endif

namespace reward_tuner::detail::stb {
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
}  // namespace reward_tuner::detail::stb

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#undef stbi_convert_iphone_png_to_rgb
#undef stbi_convert_iphone_png_to_rgb_thread
#undef stbi_failure_reason
#undef stbi_hdr_to_ldr_gamma
#undef stbi_hdr_to_ldr_scale
#undef stbi_image_free
#undef stbi_info_from_callbacks
#undef stbi_info_from_memory
#undef stbi_is_16_bit_from_callbacks
#undef stbi_is_16_bit_from_memory
#undef stbi_is_hdr_from_callbacks
#undef stbi_is_hdr_from_memory
#undef stbi_ldr_to_hdr_gamma
#undef stbi_ldr_to_hdr_scale
#undef stbi_load_16_from_callbacks
#undef stbi_load_16_from_memory
#undef stbi_load_from_callbacks
#undef stbi_load_from_memory
#undef stbi_load_gif_from_memory
#undef stbi_loadf_from_callbacks
#undef stbi_loadf_from_memory
#undef stbi_set_flip_vertically_on_load
#undef stbi_set_flip_vertically_on_load_thread
#undef stbi_set_unpremultiply_on_load
#undef stbi_set_unpremultiply_on_load_thread
#undef stbi_zlib_decode_buffer
#undef stbi_zlib_decode_malloc
#undef stbi_zlib_decode_malloc_guesssize
#undef stbi_zlib_decode_malloc_guesssize_headerflag
#undef stbi_zlib_decode_noheader_buffer
#undef stbi_zlib_decode_noheader_malloc
#undef stbi__err
#pragma pop_macro("stbi__err")
#pragma pop_macro("STBI_NO_LINEAR")
#pragma pop_macro("STBI_NO_PNM")
#pragma pop_macro("STBI_NO_PIC")
#pragma pop_macro("STBI_NO_HDR")
#pragma pop_macro("STBI_NO_GIF")
#pragma pop_macro("STBI_NO_TGA")
#pragma pop_macro("STBI_NO_PSD")
#pragma pop_macro("STBI_NO_BMP")
#pragma pop_macro("STBI_NO_JPEG")
#pragma pop_macro("STBI_FAILURE_USERMSG")
#pragma pop_macro("STBI_NO_FAILURE_STRINGS")
#pragma pop_macro("STBI_NO_SIMD")
#pragma pop_macro("STBI_WRITE_NO_STDIO")
#pragma pop_macro("STBI_NO_STDIO")
#pragma pop_macro("STBI_ONLY_JPEG")
#pragma pop_macro("STBI_ONLY_PNG")
#pragma pop_macro("STBIWDEF")
#pragma pop_macro("STBIDEF")
#pragma pop_macro("STB_IMAGE_WRITE_STATIC")
#pragma pop_macro("STB_IMAGE_STATIC")
#pragma pop_macro("STB_IMAGE_WRITE_IMPLEMENTATION")
#pragma pop_macro("STB_IMAGE_IMPLEMENTATION")
#pragma pop_macro("INCLUDE_STB_IMAGE_WRITE_H")
#pragma pop_macro("STBI_INCLUDE_STB_IMAGE_H")
