#include "broker/token/cidr.h"

#include <gtest/gtest.h>

namespace curfew::broker {
namespace {

TEST(CidrTest, contains_what_is_in_it) {
  EXPECT_TRUE(in_any_cidr("10.1.2.3", {"192.168.0.0/16", "10.0.0.0/8"}));
  EXPECT_FALSE(in_any_cidr("11.1.2.3", {"10.0.0.0/8"}));
  EXPECT_TRUE(in_any_cidr("10.0.0.7", {"10.0.0.7"}));
  EXPECT_FALSE(in_any_cidr("10.0.0.8", {"10.0.0.7"}));
  EXPECT_TRUE(in_any_cidr("10.0.0.7", {"10.0.0.4/30"}));
  EXPECT_FALSE(in_any_cidr("10.0.0.8", {"10.0.0.4/30"}));
  EXPECT_TRUE(in_any_cidr("203.0.113.9", {"0.0.0.0/0"}));
  EXPECT_TRUE(in_any_cidr("2001:db8::1", {"2001:db8::/32"}));
  EXPECT_FALSE(in_any_cidr("2001:db9::1", {"2001:db8::/32"}));
}

TEST(CidrTest, ipv4_in_ipv6_is_ipv4) {
  EXPECT_TRUE(in_any_cidr("::ffff:10.1.2.3", {"10.0.0.0/8"}));
}

TEST(CidrTest, what_is_no_address_is_nowhere) {
  EXPECT_FALSE(in_any_cidr("", {"0.0.0.0/0"}));
  EXPECT_FALSE(in_any_cidr("localhost", {"0.0.0.0/0", "::/0"}));
  EXPECT_FALSE(in_any_cidr("10.0.0.1", {}));
}

TEST(CidrTest, a_network_lies_within_another) {
  EXPECT_TRUE(cidr_in_any("10.1.0.0/16", {"192.168.0.0/16", "10.0.0.0/8"}));
  EXPECT_TRUE(cidr_in_any("10.0.0.7", {"10.0.0.7/32"}));
  EXPECT_TRUE(cidr_in_any("10.0.0.0/8", {"10.0.0.0/8"}));
  EXPECT_FALSE(cidr_in_any("10.0.0.0/7", {"10.0.0.0/8"}));
  EXPECT_FALSE(cidr_in_any("11.0.0.0/16", {"10.0.0.0/8"}));
  EXPECT_FALSE(cidr_in_any("::/0", {"0.0.0.0/0"}));
  EXPECT_FALSE(cidr_in_any("10.0.0.0/8", {}));
  EXPECT_FALSE(cidr_in_any("everywhere", {"0.0.0.0/0", "::/0"}));
}

TEST(CidrTest, who_is_counted_as_one) {
  EXPECT_NE(address_group("192.0.2.1"), address_group("192.0.2.2"));
  EXPECT_EQ(address_group("192.0.2.1"), address_group("::ffff:192.0.2.1"));
  EXPECT_EQ(address_group("2001:db8::1"), address_group("2001:db8::ffff:1"));
  EXPECT_NE(address_group("2001:db8:0:1::1"), address_group("2001:db8:0:2::1"));
  EXPECT_EQ(address_group("no address"), "no address");
}

TEST(CidrTest, bad_networks_are_refused) {
  for (const char* good : {"10.0.0.0/8", "10.0.0.1", "::/0", "2001:db8::/128", "1.2.3.4/0"})
    EXPECT_TRUE(check_cidr(good).has_value()) << good;
  for (const char* bad :
       {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "::/129", "x/8"})
    EXPECT_FALSE(check_cidr(bad).has_value()) << bad;
}

}  // namespace
}  // namespace curfew::broker
