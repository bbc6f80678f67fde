// A strategy of one's own: a table that is built when the set of backends changes, and a pick from it.
//
// This one sends nine requests of ten to the first backend that carries the tag "canary" and the tenth
// anywhere else. It knows nothing of limits, health or retries: what it picks is checked, and replaced if it
// cannot serve.
#include <fairlead/fairlead.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

struct MostlyCanary {
    static constexpr std::string_view name = "mostly_canary";

    struct Table {
        std::size_t canary = 0;
        std::vector<std::size_t> others{};
    };

    Table build(std::span<const fairlead::Candidate> candidates) const {
        Table table;
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            const auto tags = candidates[i].tags();
            if (std::find(tags.begin(), tags.end(), "canary") != tags.end()) {
                table.canary = i;
            } else {
                table.others.push_back(i);
            }
        }
        return table;
    }

    std::size_t pick(const Table& table, std::span<const fairlead::Candidate>,
                     fairlead::Pick& pick) const noexcept {
        if (table.others.empty() || pick.turn.advance(10) != 0) return table.canary;
        return table.others[pick.rng.below(static_cast<std::uint32_t>(table.others.size()))];
    }
};
static_assert(fairlead::Strategy<MostlyCanary>);

int main() {
    fairlead::Balancer<MostlyCanary> balancer{{
        {.name = "a", .url = "http://10.0.0.6:8000"},
        {.name = "b", .url = "http://10.0.0.7:8000", .tags = {"canary"}},
        {.name = "c", .url = "http://10.0.0.8:8000"},
    }};
    for (int i = 0; i < 1000; ++i) {
        if (auto lease = balancer.select()) balancer.report(std::move(lease), fairlead::Outcome::success);
    }
    bool right = true;
    for (const auto& backend : balancer.snapshot()) {
        const auto served = static_cast<unsigned long>(backend.completed);
        std::printf("%s served %lu of 1000\n", backend.config.name.c_str(), served);
        right = right && (backend.config.name == "b" ? served == 900 : served < 100);
    }
    return right ? 0 : 1;
}
