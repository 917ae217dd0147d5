#include "base/one_time_pad.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace curfew {
namespace {

TEST(OneTimePad, DecodesWhatItEncodedWithEitherFormOfThePad) {
  const Secret token("cfs.ABCDEFGHIJ");
  const Secret pad("0123456789abcd");
  const std::string encoded = encode_with_pad(token, pad);
  EXPECT_EQ(encoded.find('='), std::string::npos);
  EXPECT_EQ(decode_with_pad(encoded, pad).value(), token);
  EXPECT_EQ(decode_with_pad(encoded + "=", pad).value(), token) << "with padding";
  EXPECT_EQ(decode_with_pad(encoded, Secret(base64_encode(pad.reveal()))).value(), token);
}

TEST(OneTimePad, RefusesPadsOfAnotherLengthAndWhatIsNotBase64) {
  for (const std::string& text : {std::string(), std::string("short"), std::string(15, 'x'),
                                  base64_encode(std::string(13, 'x')), std::string(20, '!')}) {
    const auto pad = parse_pad(Secret(text), 14);
    ASSERT_FALSE(pad) << text;
    EXPECT_EQ(pad.error().code, Errc::kInvalidArgument);
    EXPECT_NE(pad.error().message.find("14 characters"), std::string::npos);
  }
  EXPECT_FALSE(decode_with_pad("", Secret("")));
  EXPECT_FALSE(decode_with_pad("###", Secret("abc")));
  EXPECT_FALSE(decode_with_pad("AAAA", Secret("abcde")));
}

// What the vault command line decodes: XOR, base64 without padding.
TEST(OneTimePad, IsVaultsForm) {
  EXPECT_EQ(encode_with_pad(Secret("s.abc"), Secret("vQm9Z")), "BX8MWzk");
}

}  // namespace
}  // namespace curfew
