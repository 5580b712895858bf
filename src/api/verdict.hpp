// The columns of mirox.verdict, which mirox.http_verdict begins with too.
#pragma once

#include "pg/prelude.hpp"
//
#include "store/check.hpp"

extern "C" {
#include "access/tupdesc.h"
#include "utils/typcache.h"
}

namespace mirox::api {

namespace verdict_column {
enum { kStatus, kReason, kTokenId, kUserId, kGroup, kPermissions, kExpiresAt, kRetryAfterMs, kCount };
}

// Fills what the check lets the caller see: on a 400 or 401 nothing but status and reason. `everything`: whatever was found,
// for an administrator.
void fill_verdict(const store::Checked& checked, bool everything, Datum* values, bool* nulls);

// The row type that the function returns, its columns known (tupDesc); for use at once. It may have up to kLaterColumns more
// columns than this library knows of, those of a later version's script: leave room for them, NULL.
inline constexpr int kLaterColumns = 8;
const TypeCacheEntry& result_type(FunctionCallInfo fcinfo, int known);

}  // namespace mirox::api
