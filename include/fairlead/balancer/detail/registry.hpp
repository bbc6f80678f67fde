// Who is in the fleet, by name and by number.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <fairlead/balancer/detail/latency.hpp>
#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/balancer/detail/seat.hpp>
#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/model/rng.hpp>

namespace fairlead::detail {

/// Not thread safe. A backend that was taken out keeps its number, and is found by it, until it is let go.
class Registry {
  public:
    std::shared_ptr<LiveBackend> find(std::string_view name) const {
        const auto it = by_name_.find(name);
        return it == by_name_.end() ? nullptr : it->second;
    }

    /// The one of that number, unless another has it by now.
    LiveBackend* find(BackendId id, std::uint32_t serial) const noexcept {
        if (id >= by_id_.size() || !by_id_[id] || by_id_[id]->serial != serial) return nullptr;
        return by_id_[id].get();
    }

    std::size_t size() const noexcept { return by_name_.size(); }
    bool has_number_below(std::size_t end) const noexcept {
        return !free_ids_.empty() || by_id_.size() < end;
    }

    /// `visit(backend)` for each that is in, in no order.
    template <class Visit>
    void each(Visit&& visit) const {
        for (const auto& [name, backend] : by_name_) visit(*backend);
    }

    /// By their numbers, those that left included; null where a number is free.
    const std::vector<std::shared_ptr<LiveBackend>>& numbered() const noexcept { return by_id_; }

    /// Takes in one whose name nobody has, and numbers it. All or nothing: throws std::bad_alloc.
    void insert(const std::shared_ptr<LiveBackend>& backend) {
        free_ids_.reserve(by_id_.size() + 1);  // `let_go` must not throw
        if (by_id_.size() == by_id_.capacity()) by_id_.reserve(2 * by_id_.size() + 8);
        by_name_.emplace(backend->config->name, backend);
        if (free_ids_.empty()) {
            backend->id = static_cast<BackendId>(by_id_.size());
            by_id_.push_back(backend);
        } else {
            backend->id = free_ids_.back();
            free_ids_.pop_back();
            by_id_[backend->id] = backend;
        }
        backend->serial = ++serials_;
    }

    void take_out(std::string_view name) {
        if (const auto it = by_name_.find(name); it != by_name_.end()) by_name_.erase(it);
    }

    /// Frees its number.
    void let_go(BackendId id) noexcept {
        free_ids_.push_back(id);
        by_id_[id].reset();
    }

    /// All that are in, in an order of this seed's own: by a hash of seed and serial, so that many balancers
    /// do not march in step, and the same while the membership stands.
    std::vector<Member> members(std::uint64_t seed) const {
        std::vector<Member> members;
        members.reserve(by_name_.size());
        for (const auto& [name, backend] : by_name_) {
            const bool serving = backend->duty == Duty::serving && !backend->config->mirror;
            const bool usable = backend->findings_ok();
            members.push_back({backend, backend->config, CandidateAccess::make(*backend), serving,
                               serving && usable, serving && usable && !backend->ejection.is_half_open()});
        }
        std::sort(members.begin(), members.end(), [&](const Member& a, const Member& b) {
            const auto rank_a = Rng::mix(seed + a.backend->serial);
            const auto rank_b = Rng::mix(seed + b.backend->serial);
            return rank_a != rank_b ? rank_a < rank_b : a.backend->serial < b.backend->serial;
        });
        return members;
    }

    /// Of all that are in, by their names.
    std::vector<BackendFigures> figures(Time now) const {
        std::vector<BackendFigures> all;
        all.reserve(by_name_.size());
        for (const auto& [name, backend] : by_name_) {
            all.push_back(backend->figures());
            all.back().load = backend->load.figures(now);
        }
        std::sort(all.begin(), all.end(),
                  [](const auto& a, const auto& b) { return a.config.name < b.config.name; });
        return all;
    }

    /// What all backends of a model have in common.
    std::shared_ptr<PoolLatency> pool_of(const std::string& model) {
        if (const auto it = pools_.find(model); it != pools_.end()) {
            if (auto shared = it->second.lock()) return shared;
        }
        // Names of models that came and went must not eat the memory.
        std::erase_if(pools_, [](const auto& named) { return named.second.expired(); });
        auto pool = std::make_shared<PoolLatency>();
        pools_[model] = pool;
        return pool;
    }

  private:
    std::unordered_map<std::string, std::shared_ptr<LiveBackend>, StringHash, std::equal_to<>> by_name_;
    std::vector<std::shared_ptr<LiveBackend>> by_id_;
    std::vector<BackendId> free_ids_;
    std::uint32_t serials_ = 0;
    std::unordered_map<std::string, std::weak_ptr<PoolLatency>> pools_;
};

}  // namespace fairlead::detail
