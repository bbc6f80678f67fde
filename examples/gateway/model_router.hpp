// Which backends a request's `model` selects.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/model/settings.hpp>

namespace gateway {

/// What a request's model means for the choice of a backend.
struct ModelChoice {
    enum class Verdict : std::uint8_t {
        any,       ///< every backend will do
        selected,  ///< those that serve `model`
        missing,   ///< several models are served, the request names none
        unknown    ///< nobody serves the one that it names
    };

    Verdict verdict = Verdict::any;
    std::string model{};  ///< for `Criteria::model`
};

/// Decides by the models that the fleet serves and by the operator's aliases. When all backends serve one
/// model, or none says which, any name (or none) will do: clients written for a single server go on working.
///
/// Threads: any. Membership changes at run time are told with `set_models`.
class ModelRouter {
  public:
    using Aliases = std::map<std::string, std::string>;

    /// `models` are the backends' `model_name`s, empty ones included (such a backend serves whatever it is
    /// asked for).
    explicit ModelRouter(const std::vector<std::string>& models) { set_models(models); }

    void set_models(const std::vector<std::string>& models);

    /// The distinct names, in order; an empty one stands for backends that have none.
    std::vector<std::string> models() const {
        const std::lock_guard lock{mutex_};
        return {models_.begin(), models_.end()};
    }

    /// The name that all backends have; empty where there are several, or none.
    std::string only_model() const {
        const std::lock_guard lock{mutex_};
        return models_.size() == 1 ? *models_.begin() : std::string{};
    }

    /// Whether what a request names can matter: for the choice, or because a backend has a name of its own
    /// that is put in its place. Takes no lock.
    bool names_matter() const noexcept {
        // Relaxed: a request that is read while the fleet changes is served by the old rule or by the new
        // one.
        return names_matter_.load(std::memory_order_relaxed);
    }

    /// The model that `name` stands for, where it is an alias; empty otherwise. Valid as long as `aliases`.
    static std::string_view alias_of(std::string_view name, const Aliases& aliases) {
        const auto alias = aliases.find(std::string{name});
        return alias != aliases.end() ? std::string_view{alias->second} : std::string_view{};
    }

    /// `name` is empty when the request names no model.
    ModelChoice choose(std::string_view name, const Aliases& aliases = {}) const;

  private:
    std::atomic<bool> names_matter_{false};
    mutable std::mutex mutex_{};
    std::set<std::string, std::less<>> models_{};
};

}  // namespace gateway
