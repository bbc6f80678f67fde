// The rules of which name selects which backends.
#include "gateway/model_router.hpp"

namespace gateway {

void ModelRouter::set_models(const std::vector<std::string>& models) {
    std::set<std::string, std::less<>> fresh{models.begin(), models.end()};
    const bool named = fresh.size() > 1 || (fresh.size() == 1 && !fresh.begin()->empty());
    const std::lock_guard lock{mutex_};
    models_.swap(fresh);
    names_matter_.store(named, std::memory_order_relaxed);  // publishes nothing else
}

ModelChoice ModelRouter::choose(std::string_view name, const Aliases& aliases) const {
    const auto target = alias_of(name, aliases);
    const auto model = target.empty() ? name : target;

    const std::lock_guard lock{mutex_};
    if (models_.size() <= 1) return {};
    if (name.empty()) return {ModelChoice::Verdict::missing, {}};
    // A backend without a name of its own serves whatever it is asked for.
    if (!models_.contains(model) && !models_.contains("")) return {ModelChoice::Verdict::unknown, {}};
    return {ModelChoice::Verdict::selected, std::string{model}};
}

}  // namespace gateway
