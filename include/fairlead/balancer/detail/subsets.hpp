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
#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/model/options.hpp>

namespace fairlead::detail {

/// Each group's place in the threads' lists of turns: the same for the same model, tags and priority whatever
/// the snapshot, so that a rotation goes on where it was.
class TurnNumbers {
  public:
    /// Takes a mutex of its own; cold. Throws std::bad_alloc.
    std::uint32_t of(std::string_view model, std::span<const std::string_view> tags, int priority) {
        std::string key{model};
        for (const auto tag : tags) key.append(1, '\0').append(tag);
        key.append(1, '\0').append(std::to_string(priority));
        const std::lock_guard lock{mutex_};
        // A caller's strings must not eat the memory: beyond this many the rotations start anew.
        if (numbers_.size() >= most) numbers_.clear();
        const auto [it, added] = numbers_.try_emplace(std::move(key), next_ % most);
        if (added) ++next_;
        return it->second;
    }

  private:
    static constexpr std::uint32_t most = 4096;
    std::mutex mutex_;
    std::uint32_t next_ = 0;
    std::unordered_map<std::string, std::uint32_t> numbers_;
};

template <Strategy S>
class Subsets {
  public:
    explicit Subsets(const Options& options) noexcept : options_{options} {}

    /// The group of all that match. nullptr and why: unknown model or tag (nothing is stored for those), or
    /// `Errc::too_many_changes` when the table is full and `draw` must make room. Lock-free but for the first
    /// use of a subset, which builds it. Throws std::bad_alloc.
    const Group<S>* find(const Snapshot<S>& snapshot, const Criteria& criteria, Errc& error) {
        SubsetKey key = SubsetKey::of(criteria);
        if (const auto* node = snapshot.subsets.find(key)) return node->group.get();
        if (!key.model.empty() && !snapshot.models.contains(key.model)) {
            if (!snapshot.any_model) return fail(error, Errc::unknown_model);
            // Only backends that serve whatever they are asked for match: one subset for all such names.
            const Criteria others{.model = no_such_model, .tags = criteria.tags};
            key = SubsetKey::of(others);
            if (const auto* node = snapshot.subsets.find(key)) return node->group.get();
        }
        for (const auto tag : key.tags) {
            if (!snapshot.tags.contains(tag)) return fail(error, Errc::unknown_tags);
        }
        auto group = std::make_shared<Group<S>>();
        build(snapshot, *group, key.model, key.tags);
        if (group->nobody == Errc::no_backends && group->levels.empty()) {
            group->nobody = key.tags.empty() ? Errc::unknown_model : Errc::unknown_tags;
        }
        auto node = std::make_unique<SubsetNode<S>>(key, group);
        const auto* there =
            snapshot.subsets.insert(std::move(node), options_.subset_limit, options_.subset_memory);
        if (there == nullptr) return fail(error, Errc::too_many_changes);
        return there->group.get();
    }

    /// A new snapshot. Called with the roster's mutex. With `carry` the membership stands and only room for
    /// subsets is wanted: those used since `previous` was drawn are taken over, half of the limit at most.
    std::shared_ptr<Snapshot<S>> draw(const S& strategy, std::vector<Member> members,
                                      const Snapshot<S>* previous, bool carry = false) {
        auto snapshot = std::make_shared<Snapshot<S>>(strategy);
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
            if (census.panic(options_)) snapshot->panicking.emplace(model);
        }
        if (previous != nullptr && needs_of(strategy).all_members &&
            name_of(previous->strategy) == name_of(strategy)) {
            remember_tables(*previous, *snapshot);
        }
        build(*snapshot, snapshot->pool, {}, {});
        if (carry && previous != nullptr) carry_over(*previous, *snapshot);
        return snapshot;
    }

  private:
    static constexpr std::string_view no_such_model{"\xff", 1};  // no UTF-8, so nobody's model name

    static const Group<S>* fail(Errc& error, Errc reason) noexcept {
        error = reason;
        return nullptr;
    }

    void build(const Snapshot<S>& snapshot, Group<S>& group, std::string_view model,
               std::span<const std::string_view> tags) {
        GroupBuilder<S>{snapshot, options_}.build(
            group, model, tags, [&](int priority) { return turns_.of(model, tags, priority); });
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
            to.subsets.insert(std::make_unique<SubsetNode<S>>(node), options_.subset_limit / 2,
                              options_.subset_memory / 2);
        });
        to.subsets.make_room();
    }

    const Options& options_;
    TurnNumbers turns_;
};

}  // namespace fairlead::detail
