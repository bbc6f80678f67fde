// The rows of the instruction guard. Nothing in them depends on a clock, an address or another row.
#include "benchmark/counted.hpp"

#include "benchmark/floor.hpp"
#include "benchmark/subject.hpp"

#include <fairlead/model/rng.hpp>

#include <array>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define FAIRLEAD_COUNTS 1
#endif

namespace fairlead::benchmarks {

#ifndef FAIRLEAD_COUNTS

int count_instructions() {
    std::fputs("compiled without valgrind's headers\n", stderr);
    return 2;
}

#else

namespace {

using Run = std::function<void(std::size_t n)>;

struct Row {
    std::string name;
    std::function<Run()> make;
};

constexpr std::size_t warm_up = 1500;  // every backend of the largest row is chosen once
constexpr std::size_t counted = 1000;  // because a rotation over the largest ends where it began

Run requests(std::unique_ptr<Subject> subject) {
    return [shared = std::shared_ptr{std::move(subject)}](std::size_t n) { shared->requests(n); };
}

void add(std::vector<Row>& rows, const std::string& name, std::size_t size, std::function<Run()> make) {
    rows.push_back({name + "/" + std::to_string(size), std::move(make)});
}

bool is_weighted(const std::string& strategy) { return strategy.starts_with("weighted_"); }

void strategy_rows(std::vector<Row>& rows) {
    for (const auto& strategy : strategies()) {
        const bool equal = !is_weighted(strategy);
        const bool looks_at_all = strategy == "prefix_affinity";
        for (const std::size_t size : std::initializer_list<std::size_t>{1, 3, 16, 64, 100, 1000}) {
            if (size == 1000 && looks_at_all) continue;  // dear, and the same as at 100
            add(rows, strategy, size, [=] { return requests(plain(strategy, backends(size, equal))); });
        }
        if (strategy == "least_connections" || strategy == "response_time" || strategy == "least_tokens") {
            add(rows, strategy + "_weighted", 100,
                [=] { return requests(plain(strategy, backends(100, false))); });
        }
        add(rows, "any_" + strategy, 100, [=] { return requests(any(strategy, backends(100, equal))); });
        add(rows, strategy + "_model_answer", 100, [=]() -> Run {
            const auto subject = std::shared_ptr{plain(strategy, backends(100, equal))};
            return [subject](std::size_t n) { subject->model_answers(n); };
        });
        add(rows, strategy + "_untimed", 100, [=] {
            Options options = seeded();
            options.timing = false;
            return requests(plain(strategy, backends(100, equal), options));
        });
    }
}

void criteria_rows(std::vector<Row>& rows) {
    for (const std::string strategy : {"round_robin", "least_connections"}) {
        add(rows, strategy + "_by_model_and_tag", 100, [=]() -> Run {
            std::shared_ptr subject = plain(strategy, two_models(100, true));
            return [subject](std::size_t n) {
                static constexpr std::string_view tags[] = {"gpu"};
                subject->requests(n, {.model = "even", .tags = tags});
            };
        });
    }
    add(rows, "round_robin_excluding", 100, []() -> Run {
        std::shared_ptr subject = plain("round_robin", backends(100, true));
        return [subject](std::size_t n) {
            static constexpr std::string_view tried[] = {"b1", "b2"};
            subject->requests(n, {.exclude = tried});
        };
    });
    add(rows, "least_tokens_of_some", 100, []() -> Run {
        std::shared_ptr subject = plain("least_tokens", backends(100, true));
        return [subject](std::size_t n) { subject->requests(n, {.tokens = 1000, .answer_tokens = 100}); };
    });
    add(rows, "round_robin_bare", 100, []() -> Run {
        std::shared_ptr subject = plain("round_robin", backends(100, true));
        return [subject](std::size_t n) { subject->bare_requests(n); };
    });
    add(rows, "round_robin_with_first_byte", 100, []() -> Run {
        std::shared_ptr subject = plain("round_robin", backends(100, true));
        return [subject](std::size_t n) { subject->answers(n); };
    });
    add(rows, "round_robin_dropped", 100, []() -> Run {
        std::shared_ptr subject = plain("round_robin", backends(100, true));
        return [subject](std::size_t n) { subject->selects(n); };
    });
    add(rows, "round_robin_client_error", 100, []() -> Run {
        std::shared_ptr subject = plain("round_robin", backends(100, true));
        return [subject](std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) subject->report(subject->select({}), Outcome::client_error);
        };
    });
    add(rows, "single_backend", 1, []() -> Run {
        std::shared_ptr subject = single_backend();
        return [subject](std::size_t n) { subject->bare_requests(n); };
    });
    for (const bool pending : {false, true}) {
        for (const std::size_t size : std::initializer_list<std::size_t>{10, 1000}) {
            add(rows, pending ? "refused_pending" : "refused", size, [=]() -> Run {
                auto full = std::make_shared<Full>(size, pending);
                return [full](std::size_t n) { full->subject().selects(n); };
            });
        }
    }
}

/// Prompts of 256 blocks, eight of which have their first 32 in common. 64 of them come again and again, or,
/// `fresh`, none ever does.
void prefix_rows(std::vector<Row>& rows) {
    using Prompt = std::array<std::uint64_t, 256>;
    for (const bool fresh : {false, true}) {
        add(rows, fresh ? "prefix_affinity_of_256_new_blocks" : "prefix_affinity_of_256_known_blocks", 16,
            [=]() -> Run {
                auto prompts = std::make_shared<std::vector<Prompt> >(fresh ? warm_up + counted : 64);
                for (std::size_t i = 0; i < prompts->size(); ++i) {
                    for (std::size_t block = 0; block < 256; ++block)
                        (*prompts)[i][block] = Rng::mix((block < 32 ? i / 8 : i) * 4096 + block);
                }
                std::shared_ptr subject = plain("prefix_affinity", backends(16, true));
                return [=, next = std::size_t{0}](std::size_t n) mutable {
                    for (std::size_t i = 0; i < n; ++i) {
                        const Prompt& prompt = (*prompts)[next++ % prompts->size()];
                        subject->requests(1, {.tokens = 4096, .prefix = prompt, .owner = prompt[0]});
                    }
                };
            });
    }
}

}  // namespace

int count_instructions() {
    if (RUNNING_ON_VALGRIND == 0) {
        std::fputs("the counts are taken by callgrind: tests/benchmark/guard.sh\n", stderr);
        return 2;
    }
    std::vector<Row> rows;
    add(rows, "floor", 100, []() -> Run {
        auto floor = std::make_shared<Floor>(100);
        auto lane = std::make_shared<Floor::Lane>();
        return [=](std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) floor->request(*lane);
        };
    });
    strategy_rows(rows);
    criteria_rows(rows);
    prefix_rows(rows);
    std::printf("counted %zu\n", counted);
    for (const Row& row : rows) {
        FreeClock::ticks = 0;  // as if it were the only row
        const Run run = row.make();
        run(warm_up);
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_ZERO_STATS;
        run(counted);
        CALLGRIND_DUMP_STATS_AT(row.name.c_str());
        CALLGRIND_STOP_INSTRUMENTATION;
    }
    return 0;
}

#endif

}  // namespace fairlead::benchmarks
