// Subsets by model and tags: found without a lock, prepared on first use, bounded in number and memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/eligibility.hpp>
#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/model/options.hpp>

namespace fairlead::detail {

/// Each group's index in the threads' lists of places: the same for the same model, tags and priority
/// whatever the snapshot, so that a rotation goes on where it was; and never that of another group that is
/// still in use, or two rotations would step on each other.
class TurnNumbers {
  public:
    /// Taken while the result is held, and remembered for some time after. Takes a mutex of its own; cold.
    /// Throws std::bad_alloc.
    std::shared_ptr<const std::uint32_t> of(std::string_view model, std::span<const std::string_view> tags,
                                            int priority) {
        std::string key{model};
        for (const auto tag : tags) key.append(1, '\0').append(tag);
        key.append(1, '\0').append(std::to_string(priority));
        const std::lock_guard lock{mutex_};
        if (const auto it = numbers_.find(key); it != numbers_.end()) return it->second;
        if (numbers_.size() >= sweep_at_) forget_unused();
        const auto number = std::make_shared<const std::uint32_t>(free_.empty() ? next_ : free_.back());
        numbers_.emplace(std::move(key), number);
        if (free_.empty()) {
            ++next_;
        } else {
            free_.pop_back();
        }
        return number;
    }

  private:
    /// A caller's strings must not eat the memory. Nobody but this table can hand out a number that only this
    /// table holds, so one such is free. Called with the mutex.
    void forget_unused() {
        free_.reserve(free_.size() + numbers_.size());
        std::erase_if(numbers_, [&](const auto& entry) {
            const bool unused = entry.second.use_count() == 1;
            if (unused) free_.push_back(*entry.second);
            return unused;
        });
        sweep_at_ = std::max(most, 2 * numbers_.size());  // the look costs O(1) for each that is added
    }

    static constexpr std::size_t most = 4096;  // twice the subsets that one snapshot can have
    std::mutex mutex_;
    std::size_t sweep_at_ = most;
    std::uint32_t next_ = 0;
    std::vector<std::uint32_t> free_;
    std::unordered_map<std::string, std::shared_ptr<const std::uint32_t>> numbers_;
};

/// What the first use of a subset came to.
template <Strategy S>
struct FirstUse {
    const Group<S>* group = nullptr;        ///< nullptr: `error` says why
    std::shared_ptr<const Group<S>> own{};  ///< holds `group` when the snapshot's table did not take it
    Errc error{};
    bool wants_room = false;  ///< it would fit in, if the table were not full
};

template <Strategy S>
class Subsets {
  public:
    Subsets(const OptionsInForce& options, StateOf<S>& learned) noexcept
        : options_{options}, learned_{learned} {}

    /// All that match, when they are prepared: else nullptr, and `first_use` tells more. Lock-free.
    static const SubsetNode<S>* find_node(const Snapshot<S>& snapshot, const Criteria& criteria) noexcept {
        return snapshot.subsets.find(SubsetKey::of(criteria));
    }
    static const Group<S>* find(const Snapshot<S>& snapshot, const Criteria& criteria) noexcept {
        const auto* node = find_node(snapshot, criteria);
        return node == nullptr ? nullptr : node->group.get();
    }

    /// Prepares the group of all that match, unless the model or a tag is unknown (nothing is stored for
    /// those). Where the table has no room the group serves this one request. Throws std::bad_alloc.
    FirstUse<S> first_use(const Snapshot<S>& snapshot, const Criteria& criteria) {
        SubsetKey key = SubsetKey::of(criteria);
        if (!key.model.empty() && !snapshot.models.contains(key.model)) {
            if (!snapshot.any_model) return {.error = Errc::unknown_model};
            // Only backends that serve whatever they are asked for match: one subset for all such names.
            const Criteria others{.model = no_such_model, .tags = criteria.tags};
            key = SubsetKey::of(others);
            if (const auto* node = snapshot.subsets.find(key)) return {.group = node->group.get()};
        }
        for (const auto tag : key.tags) {
            if (!snapshot.tags.contains(tag)) return {.error = Errc::unknown_tags};
        }
        auto group = std::make_shared<Group<S>>();
        build(snapshot, *group, key.model, key.tags);
        if (group->nobody == Errc::no_backends && group->levels.empty()) {
            group->nobody = key.tags.empty() ? Errc::unknown_model : Errc::unknown_tags;
        }
        auto node = std::make_unique<SubsetNode<S>>(key, group);
        const Options& options = *snapshot.options;
        const auto* there =
            snapshot.subsets.insert(std::move(node), options.subset_limit, options.subset_memory);
        if (there != nullptr) return {.group = there->group.get()};
        const auto* raw = group.get();
        // What is carried over takes up to half.
        return {.group = raw, .own = std::move(group), .wants_room = raw->bytes <= options.subset_memory / 2};
    }

    /// The same picture with the subsets that are in use, up to half of what may be in. Builds no table,
    /// needs no lock. O(members + subsets). Throws std::bad_alloc.
    std::shared_ptr<const Snapshot<S>> with_room(const Snapshot<S>& full) const {
        auto snapshot = std::make_shared<Snapshot<S>>(full);
        carry_over(full, *snapshot);
        return snapshot;
    }

    /// The next snapshot is drawn for another strategy, or one with other parameters: what the one before
    /// built is of no use. Called with the roster's mutex.
    void forget_tables() noexcept { tables_are_current_ = false; }

    /// A new snapshot. Called with the roster's mutex.
    std::shared_ptr<Snapshot<S>> draw(const S& strategy, std::vector<Member> members,
                                      const Snapshot<S>* previous) {
        auto snapshot = std::make_shared<Snapshot<S>>(strategy, *options_, learned_);
        snapshot->members = std::move(members);
        std::map<std::string_view, Census> by_model;
        for (const auto& member : snapshot->members) {
            const auto& config = *member.config;
            if (config.mirror) continue;
            if (config.model_name.empty()) {
                snapshot->any_model = true;
            } else {
                snapshot->models.insert(config.model_name);
            }
            snapshot->tags.insert(config.tags.begin(), config.tags.end());
            by_model[config.model_name].count(member);
        }
        for (const auto& [model, census] : by_model) {
            if (census.panic(*snapshot->options)) snapshot->panicking.emplace(model);
        }
        if (previous != nullptr && needs_of(strategy).all_members && tables_are_current_) {
            remember_tables(*previous, *snapshot);
        }
        build(*snapshot, snapshot->pool, {}, {});
        tables_are_current_ = true;
        return snapshot;
    }

  private:
    static constexpr std::string_view no_such_model{"\xff", 1};  // no UTF-8, so nobody's model name

    void build(const Snapshot<S>& snapshot, Group<S>& group, std::string_view model,
               std::span<const std::string_view> tags) {
        GroupBuilder<S>{snapshot}.build(group, model, tags,
                                        [&](int priority) { return turns_.of(model, tags, priority); });
    }

    static void remember_tables(const Snapshot<S>& from, Snapshot<S>& to) {
        const auto note = [&](const Group<S>& group) {
            for (const auto& level : group.levels) {
                to.built.push_back({GroupBuilder<S>::membership(level.candidates), level.table});
            }
        };
        note(from.pool);
        from.subsets.for_each([&](const SubsetNode<S>& node) { note(*node.group); });
    }

    void carry_over(const Snapshot<S>& from, Snapshot<S>& to) const {
        from.subsets.for_each([&](const SubsetNode<S>& node) {
            if (!node.used.exchange(false, std::memory_order_relaxed)) return;
            to.subsets.insert(std::make_unique<SubsetNode<S>>(node), from.options->subset_limit / 2,
                              from.options->subset_memory / 2);
        });
        to.subsets.make_room();
    }

    const OptionsInForce& options_;
    StateOf<S>& learned_;
    TurnNumbers turns_;
    bool tables_are_current_ = true;  // with the roster's mutex: the last snapshot's are of this strategy
};

}  // namespace fairlead::detail
