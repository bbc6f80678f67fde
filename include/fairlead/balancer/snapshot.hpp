// The picture of the fleet that a request is balanced by: immutable, but for subsets prepared on first use.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/balancer/detail/seat.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/strategies/detail/alias_table.hpp>
#include <fairlead/strategies/detail/stable_hash.hpp>
#include <fairlead/strategies/learns.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead::detail {

/// One backend as it stood when the snapshot was drawn. Groups are made from members without any lock.
struct Member {
    std::shared_ptr<LiveBackend> backend;
    std::shared_ptr<const BackendConfig> config;  ///< under which this snapshot hands it out
    Candidate candidate;                          ///< limit 0 when it is out of service
    bool serving = true;                          ///< by the operator's word
    bool usable = true;                           ///< its findings are in order, or it is on trial
    bool healthy = true;                          ///< its findings are in order
};

/// Memory that begins with a cache line, so that none of what lies in it, in powers of two, spans two of
/// them.
template <class T>
struct LineAllocator {
    using value_type = T;
    LineAllocator() = default;
    template <class U>
    LineAllocator(const LineAllocator<U>&) noexcept {}
    T* allocate(std::size_t n) {
        return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64}));
    }
    void deallocate(T* memory, std::size_t) noexcept { ::operator delete (memory, std::align_val_t{64}); }
    bool operator==(const LineAllocator&) const noexcept { return true; }
};

/// The members of one group that share a priority number.
template <Strategy S>
struct Level {
    int priority = 0;
    double share = 1.0;  ///< of the traffic that comes this far; below 1 only with `overprovisioning`
    std::vector<Candidate, LineAllocator<Candidate>> candidates;
    std::shared_ptr<const typename S::Table> table;
    AliasTable draws;        ///< by weight: the second chance when a pick cannot serve
    std::uint32_t turn = 0;  ///< index of the threads' places in it
    std::shared_ptr<const std::uint32_t> turn_is_taken;  ///< while it lives, nobody else gets that index
};

/// All backends that match one kind of criteria (or all): in levels by ascending priority number.
template <Strategy S>
struct Group {
    std::vector<Level<S>> levels;
    Errc nobody = Errc::no_backends;  ///< why there is no level, when there is none
    bool panic = false;
    std::size_t bytes = 0;

    Group() = default;
    Group(const Group& other)
        : levels{other.levels}, nobody{other.nobody}, panic{other.panic}, bytes{other.bytes} {}
    Group& operator=(const Group&) = delete;

    /// What a look over all candidates came to that found no place: who comes after it is told the same
    /// without a look, however many there are. Written first, then `full_since` (release, acquire).
    struct NoPlace {
        std::atomic<std::int64_t> until{0};     ///< limits that rise by themselves: look again then
        std::atomic<std::int64_t> rest_end{0};  ///< when all rest: the end of the shortest
        std::atomic<Errc> reason{Errc::all_full};
    };
    mutable NoPlace no_place{};

    /// The balancer's count of "a place came free" before that look: while it stands there, a look would find
    /// none again. 0: not known to be full.
    mutable std::atomic<std::uint64_t> full_since{0};
};

/// From whom a request is chosen, where all stand in one level: what the way to them comes to, one load after
/// the other, ready to be used. Good while the group lives.
template <Strategy S>
struct Shortcut {
    const Candidate* candidates = nullptr;  ///< none: there is no shortcut
    const typename S::Table* table = nullptr;
    std::uint32_t size = 0;
    std::uint32_t turn = 0;

    Shortcut() = default;
    explicit Shortcut(const Group<S>& group) noexcept {
        if (group.levels.size() != 1) return;
        const Level<S>& level = group.levels.front();
        candidates = level.candidates.data();
        table = level.table.get();
        size = static_cast<std::uint32_t>(level.candidates.size());
        turn = level.turn;
    }
};

/// Names what a subset is asked by. Views into the criteria, or into a `SubsetNode`.
struct SubsetKey {
    std::string_view model;
    std::span<const std::string_view> tags;
    std::uint64_t hash;

    static SubsetKey of(const Criteria& criteria) noexcept {
        std::uint64_t hash = with(criteria.model, 0);
        for (const auto tag : criteria.tags) hash = with(tag, hash);
        return {criteria.model, criteria.tags, hash};
    }

  private:
    /// One multiplication for each 8 bytes: enough to tell an operator's names apart, and a request waits for
    /// each.
    static std::uint64_t with(std::string_view text, std::uint64_t hash) noexcept {
        constexpr std::uint64_t odd = 0x9e3779b97f4a7c15U;  // 2^64 / golden ratio
        hash += text.size();
        for (std::size_t at = 0; at < text.size(); at += 8) {
            const std::uint64_t word =
                little_endian(text.data() + at, std::min<std::size_t>(8, text.size() - at));
            hash = (std::rotl(hash, 23) ^ word) * odd;
        }
        return hash;
    }
};

/// One prepared subset in a snapshot's table.
template <Strategy S>
struct SubsetNode {
    SubsetNode(const SubsetKey& key, std::shared_ptr<const Group<S>> g)
        : model{key.model},
          tags{key.tags.begin(), key.tags.end()},
          hash{key.hash},
          group{std::move(g)},
          shortcut{*group} {}
    SubsetNode(const SubsetNode& other)
        : model{other.model},
          tags{other.tags},
          hash{other.hash},
          group{other.group},
          shortcut{other.shortcut} {}
    SubsetNode& operator=(const SubsetNode&) = delete;

    std::string model;
    std::vector<std::string> tags;
    std::uint64_t hash;
    std::shared_ptr<const Group<S>> group;
    Shortcut<S> shortcut;
    /// Asked for again since it was prepared or carried over: what the next to carry are chosen by. No exact
    /// order, which would be a write a read. What was asked for only once does not push out what is in use.
    mutable std::atomic<bool> used{false};

    bool is(const SubsetKey& key) const noexcept {
        if (hash != key.hash || tags.size() != key.tags.size() || !equal(model, key.model)) return false;
        for (std::size_t i = 0; i < tags.size(); ++i) {
            if (!equal(tags[i], key.tags[i])) return false;
        }
        return true;
    }

  private:
    /// As `==`, of which libstdc++ makes a call of `compare`.
    static bool equal(std::string_view a, std::string_view b) noexcept {
        return a.size() == b.size() && std::char_traits<char>::compare(a.data(), b.data(), a.size()) == 0;
    }
};

/// Subsets by key: open addressing, insert-only, read without a lock. Bounded: a full one is replaced
/// together with its snapshot, by one that carries the recently used.
template <Strategy S>
class SubsetTable {
  public:
    static constexpr std::size_t capacity = 2 * max_subset_limit;  // half full at most: probes stay short

    /// Where a key is looked for first: by the highest bits, which in a product all others move.
    static constexpr std::size_t slot_of(std::uint64_t hash) noexcept {
        static_assert(std::has_single_bit(capacity));
        return static_cast<std::size_t>(hash >> (64 - std::countr_zero(capacity)));
    }

    SubsetTable() : slots_(capacity) {}
    SubsetTable(const SubsetTable&) = delete;
    SubsetTable& operator=(const SubsetTable&) = delete;
    ~SubsetTable() {
        for (auto& slot : slots_) delete slot.load(std::memory_order_relaxed);
    }

    const SubsetNode<S>* find(const SubsetKey& key) const noexcept {
        for (std::size_t i = slot_of(key.hash), steps = 0; steps < capacity; ++steps) {
            // Acquire pairs with the release in `insert`.
            const SubsetNode<S>* node = slots_[i].load(std::memory_order_acquire);
            if (node == nullptr) return nullptr;
            if (node->is(key)) {
                // Written only when it changes, so that readers share the line.
                if (!node->used.load(std::memory_order_relaxed)) {
                    node->used.store(true, std::memory_order_relaxed);
                }
                return node;
            }
            i = (i + 1) % capacity;
        }
        return nullptr;
    }

    /// Puts `node` in, unless an equal one was quicker: then that one is returned. nullptr when more than
    /// `limit` nodes or `memory` bytes would be in.
    const SubsetNode<S>* insert(std::unique_ptr<SubsetNode<S>> node, std::size_t limit,
                                std::size_t memory) const noexcept {
        const std::size_t bytes = node->group->bytes;
        if (count_.fetch_add(1, std::memory_order_relaxed) >= limit ||
            bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes > memory) {
            return nullptr;
        }
        for (std::size_t i = slot_of(node->hash), steps = 0; steps < capacity; ++steps) {
            SubsetNode<S>* there = nullptr;
            if (slots_[i].compare_exchange_strong(there, node.get(), std::memory_order_acq_rel,
                                                  std::memory_order_acquire)) {
                return node.release();
            }
            if (there->hash == node->hash && there->model == node->model && there->tags == node->tags) {
                return there;
            }
            i = (i + 1) % capacity;
        }
        return nullptr;
    }

    /// What was refused while the table was filled does not count.
    void make_room() noexcept {
        std::size_t count = 0;
        std::size_t bytes = 0;
        for_each([&](const SubsetNode<S>& node) {
            ++count;
            bytes += node.group->bytes;
        });
        count_.store(count, std::memory_order_relaxed);
        bytes_.store(bytes, std::memory_order_relaxed);
    }

    template <class F>
    void for_each(F&& f) const {
        for (const auto& slot : slots_) {
            if (const auto* node = slot.load(std::memory_order_acquire)) f(*node);
        }
    }

  private:
    mutable std::vector<std::atomic<SubsetNode<S>*>> slots_;
    mutable std::atomic<std::size_t> count_{0};
    mutable std::atomic<std::size_t> bytes_{0};
};

/// Looks names up by view, so that a request's strings are never copied.
struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};
using NameSet = std::unordered_set<std::string, StringHash, std::equal_to<>>;

/// A strategy's table with the membership that it was built for, so that another snapshot of the same
/// membership need not build it again.
template <Strategy S>
struct BuiltTable {
    std::vector<std::uint64_t> membership;  ///< id, serial and weight of each candidate, in order
    std::shared_ptr<const typename S::Table> table;
};

/// One picture of the fleet. Threads: immutable but for `subsets`, which any thread may extend.
template <Strategy S>
struct Snapshot {
    S strategy;
    const Options* options;       ///< in force when it was drawn; they live as long as the balancer
    std::vector<Member> members;  ///< all that are not removed, in this balancer's own order
    Group<S> pool;                ///< all of them, as a group
    NameSet models;               ///< known model names; an unknown one is an error at once
    NameSet tags;
    bool any_model = false;  ///< a backend without `model_name` serves whatever it is asked for
    NameSet panicking;       ///< models of which too few are healthy
    mutable SubsetTable<S> subsets;
    bool is_plain =
        false;  ///< one backend, and nothing is balanced: a place is all there is to take and give
    std::vector<BuiltTable<S>> built;  ///< tables of the snapshot before, for strategies over all members
    StateOf<S>* learned;               ///< what the strategy learns, the balancer's

    Snapshot(const S& s, const Options& o, StateOf<S>& state) : strategy{s}, options{&o}, learned{&state} {}

    /// The same picture, without its subsets. O(members), no table is built.
    explicit Snapshot(const Snapshot& other)
        : strategy{other.strategy},
          options{other.options},
          members{other.members},
          pool{other.pool},
          models{other.models},
          tags{other.tags},
          any_model{other.any_model},
          panicking{other.panicking},
          is_plain{other.is_plain},
          built{other.built},
          learned{other.learned} {}
    Snapshot& operator=(const Snapshot&) = delete;

    /// The whole pool's, with what is asked before all else.
    struct Shortcut : detail::Shortcut<S> {
        bool is_plain = false;
        Candidate sole = CandidateAccess::none();
    };

    Shortcut shortcut() const noexcept {
        if (pool.levels.size() != 1) return {};
        return {detail::Shortcut<S>{pool}, is_plain, pool.levels.front().candidates.front()};
    }
};

}  // namespace fairlead::detail
