// Load reports in a header: as engines write them, and as nobody should.
#include <fairlead/transport/orca.hpp>

#include <string>

#include "support/catch.hpp"

namespace {

using namespace fairlead;

TEST_CASE("a load report in a header is read in both its ways, with and without its prefix") {
    for (
        const char* value :
        {"TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=3",
         "named_metrics.kv_cache_usage_perc=0.4,named_metrics.num_requests_waiting=3.0",
         "text  kv_cache_usage_perc = 0.4 ,\tnum_requests_waiting=3",
         "TEXT cpu_utilization=0.3, rps_fractional=10.0, named_metrics.kv_cache_utilization=0.400000, "
         "named_metrics.num_requests_waiting=3, named_metrics.max_token_capacity=1024",
         R"(JSON {"named_metrics": {"kv_cache_usage_perc": 0.4, "num_requests_waiting": 3}})",
         R"({"cpu_utilization": 0.3, "named_metrics": {"kv_cache_usage_perc": 0.4, "num_requests_waiting": 3.0}})",
         R"(json {"kv_cache_usage_perc": 0.4, "num_requests_waiting": 3, "x": [1, {}], "y": "z"})"}) {
        INFO(value);
        const auto report = read_orca(value);
        REQUIRE(report);
        CHECK(report->cache_use == 0.4);
        CHECK(report->waiting == 3.0);
        CHECK_FALSE(report->running);
        CHECK_FALSE(report->waiting_tokens);
    }
    CHECK(read_orca("TEXT named_metrics.num_requests_running=5")->running == 5.0);
    CHECK(read_orca("TEXT named_metrics.num_requests_running=0")->running == 0.0);
}

TEST_CASE("a load report that is broken, empty or says nothing is none") {
    for (const char* value : {"",
                              " ",
                              "TEXT",
                              "TEXT ",
                              "JSON",
                              "JSON ",
                              "JSON []",
                              "JSON {",
                              "JSON {\"named_metrics\": 3}",
                              "BIN Cg==",
                              "TEXT cpu_utilization=0.3",
                              "JSON {\"cpu_utilization\": 0.3}",
                              "named_metrics.kv_cache_usage_perc",
                              "named_metrics.kv_cache_usage_perc=",
                              "=0.4",
                              "kv_cache_usage_perc=0.4,",
                              "kv_cache_usage_perc=0.4,x",
                              "kv_cache_usage_perc=0.4;num_requests_waiting=1",
                              "kv_cache_usage_perc=0.4 0.5",
                              "kv_cache_usage_perc=abc",
                              "kv_cache_usage_perc=0x1",
                              "JSON {\"kv_cache_usage_perc\": \"0.4\"}",
                              "kv_cache_usage_perc=40",
                              "kv_cache_usage_perc=NaN",
                              "kv_cache_usage_perc=-0.1",
                              "num_requests_waiting=-1",
                              "num_requests_waiting=1e300",
                              "num_requests_waiting=+Inf",
                              "JSON {\"num_requests_waiting\": 1e300}",
                              "JSON {\"num_requests_waiting\": 1e999}"}) {
        INFO(value);
        // A comma at the end is forgiven by lists of header values elsewhere; nothing stands behind it here.
        CHECK(read_orca(value).has_value() == (std::string{value} == "kv_cache_usage_perc=0.4,"));
    }
    std::string long_one = "num_requests_waiting=1";
    long_one.append(max_orca_bytes - long_one.size(), ' ');
    CHECK(read_orca(long_one));
    CHECK_FALSE(read_orca(long_one + " "));
    CHECK_FALSE(read_orca("JSON " + std::string(8'000, '[')));
}

}  // namespace
