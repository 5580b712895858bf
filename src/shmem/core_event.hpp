// A use on its way from the check to the tables: one struct for the check, the ring and the drain.
//
// May include the C++ library and src/core; holds no server call, exception, allocation or system call.
#pragma once

#include <string_view>
#include <type_traits>

#include "core/endpoint.hpp"
#include "core/scopes.hpp"
#include "core/text.hpp"
#include "shmem/core_base.hpp"

namespace mirox::shmem {

// What distinguishes uses, besides their texts. The ring stores these bytes as they are, and the drain groups by them, so there
// is no padding and every byte is set.
struct Facts {
    std::int64_t credential_id = 0;  // the token's id, or minus the web session's; 0: unauthenticated
    std::int64_t account = 0;
    std::int32_t generation = 0;  // of the token
    std::uint16_t status = 0;     // as in HTTP
    std::uint8_t reason = 0;      // core::Reason
    core::Address address;        // family none: unknown
    std::uint8_t unused[7] = {};

    std::int64_t token() const noexcept { return credential_id > 0 ? credential_id : 0; }
    std::int64_t session() const noexcept { return credential_id < 0 ? -credential_id : 0; }
    bool refused() const noexcept { return status >= 400; }
    friend bool operator==(const Facts&, const Facts&) = default;
};
static_assert(std::is_trivially_copyable_v<Facts> && std::has_unique_object_representations_v<Facts>);

// The texts of a use, in the order of a record. The ring cuts longer ones; the caller has cleaned them.
enum TextKind : unsigned { kScope, kAgent, kMethod, kEndpoint, kTexts };
struct TextColumn {
    const char* name;  // the column that shows it
    std::size_t room;
};
inline constexpr TextColumn kTextColumns[kTexts] = {
    {"scope", core::kMaxScopeChars},           // the scope that the request needed
    {"user_agent", core::kMaxUserAgentBytes},  // as the client sent it, cleaned
    {"method", core::kMaxMethodChars},         // of the request, in upper case; none where only a secret was checked
    {"endpoint", core::kMaxEndpointBytes},     // the rule that matched the request, as core::EndpointText writes it
};

struct Event : Facts {
    Micros at = 0;
    std::string_view texts[kTexts];  // empty: none
};

struct StoredEvent {
    Event event;  // its texts point into the ring and are valid until free_to() passes the event
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t ring_id = 0;
    bool counted = false;  // the counters include it
};

}  // namespace mirox::shmem
