#pragma once
/// UNITVAR_SANITIZED is defined under the address and the thread sanitizer. g++ and clang say so in two ways.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNITVAR_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNITVAR_SANITIZED 1
#endif
#endif
