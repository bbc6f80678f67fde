// The inputs of corpus/, each given to its fuzz body: what fuzzing once found stays found.
#ifndef FAIRLEAD_FUZZING

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzz.hpp"
#include "support/catch.hpp"

TEST_CASE("every input of the corpora is borne") {
    namespace fs = std::filesystem;
    CHECK(fairlead::test::fuzz_bodies().size() >= 13);
    for (const auto& body : fairlead::test::fuzz_bodies()) {
        const fs::path folder = fs::path{FAIRLEAD_TEST_DATA} / "fuzz" / "corpus" / body.name;
        INFO(folder);
        REQUIRE(fs::is_directory(folder));
        std::size_t inputs = 0;
        for (const auto& entry : fs::directory_iterator{folder}) {
            std::ifstream file{entry.path(), std::ios::binary};
            const std::string input{std::istreambuf_iterator<char>{file}, {}};
            body.run(input);
            ++inputs;
        }
        CHECK(inputs >= 10);
    }
}

#endif
