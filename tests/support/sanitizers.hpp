// Whether this is compiled under AddressSanitizer or ThreadSanitizer: FAIRLEAD_UNDER_SANITIZER is 1 or 0.
#pragma once

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define FAIRLEAD_UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define FAIRLEAD_UNDER_SANITIZER 1
#endif
#endif
#ifndef FAIRLEAD_UNDER_SANITIZER
#define FAIRLEAD_UNDER_SANITIZER 0
#endif
