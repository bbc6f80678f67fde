// Criteria that own what they point to: what an asynchronous call keeps until it completes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/model/criteria.hpp>

namespace fairlead::detail {

/// A copy of criteria together with all that they point to. Moving it keeps the views right.
class OwnedCriteria {
  public:
    explicit OwnedCriteria(const Criteria& criteria) {
        if (criteria.key.empty() && criteria.model.empty() && criteria.tags.empty() &&
            criteria.prefix.empty() && criteria.exclude.empty()) {
            plain_.tokens = criteria.tokens;
            plain_.answer_tokens = criteria.answer_tokens;
            plain_.owner = criteria.owner;
            return;
        }
        owned_ = std::make_unique<Owned>();
        owned_->key = criteria.key;
        owned_->model = criteria.model;
        owned_->tags.assign(criteria.tags.begin(), criteria.tags.end());
        owned_->exclude.assign(criteria.exclude.begin(), criteria.exclude.end());
        owned_->prefix.assign(criteria.prefix.begin(), criteria.prefix.end());
        owned_->tag_views.assign(owned_->tags.begin(), owned_->tags.end());
        owned_->exclude_views.assign(owned_->exclude.begin(), owned_->exclude.end());
        plain_ = {.key = owned_->key,
                  .model = owned_->model,
                  .tags = owned_->tag_views,
                  .tokens = criteria.tokens,
                  .answer_tokens = criteria.answer_tokens,
                  .prefix = owned_->prefix,
                  .owner = criteria.owner,
                  .exclude = owned_->exclude_views};
    }

    const Criteria& view() const noexcept { return plain_; }

  private:
    struct Owned {
        std::string key;
        std::string model;
        std::vector<std::string> tags;
        std::vector<std::string> exclude;
        std::vector<std::uint64_t> prefix;
        std::vector<std::string_view> tag_views;
        std::vector<std::string_view> exclude_views;
    };

    std::unique_ptr<Owned> owned_;
    Criteria plain_{};
};

}  // namespace fairlead::detail
