// Signing keys (see keys.hpp, also for the locks). Key bytes are only in shared memory (SharedKeys) and in this backend's copy of
// it. Both are left out of core dumps.
#include "store/keys.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "core/chars.hpp"
#include "core/crypto.hpp"
#include "core/slice.hpp"
#include "pg/settings.hpp"
#include "shmem/shared_keys.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {
namespace {

using shmem::FileStamp;
using shmem::KeyFile;
using shmem::KeySet;
using shmem::SigningKey;

constexpr std::size_t kMaxFileBytes = 16384;

// What is wrong with the file, as one word for mirox.stat and as a text for the log.
enum KeyFault : int {
    kGood,
    kCannotOpen,
    kNotRegular,
    kForeign,
    kOpenToOthers,
    kTooLong,
    kNotOfForm,
    kTwice,
    kTooMany,
    kNoKeyInLine,
    kEmpty,
    kFaults
};
struct FaultText {
    const char* word;
    const char* text;
};
constexpr FaultText kFaultTexts[kFaults] = {
    {"ok", ""},
    {"unreadable", "it cannot be opened"},
    {"unreadable", "it is no regular file"},
    {"unsafe", "it belongs neither to the server's user nor to root"},
    {"unsafe", "group or others may read or write it"},
    {"invalid", "it is longer than 16 kB"},
    {"invalid", "a line is not of the form \"kid: key\""},
    {"invalid", "a key id stands twice"},
    {"invalid", "there are more than 16 keys"},
    {"invalid", "a key is not 32 to 256 bytes in hex or base64"},
    {"empty", "it holds no key"},
};

// This backend's copy of the keys in shared memory, and buffers for reading the file.
struct Own {
    KeyFile now;
    core::JwtKey keys[shmem::kMaxJwtKeys];  // views of now.good
    KeyFile read;
    char text[kMaxFileBytes + 1];
};
constinit Own* own = nullptr;
constinit std::uint64_t own_version = 0;

bool same(const FileStamp& a, const FileStamp& b) {
    const auto same_time = [](const struct timespec& x, const struct timespec& y) {
        return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec;
    };
    return a.device == b.device && a.inode == b.inode && a.size == b.size && same_time(a.modified, b.modified) &&
           same_time(a.changed, b.changed) && a.error == b.error;
}

FileStamp stamp_of(const struct stat& file) {
    return {file.st_dev, file.st_ino, file.st_size, file.st_mtim, file.st_ctim, 0};
}

bool same_set(const KeySet& a, const KeySet& b) {
    if (a.count != b.count) return false;
    for (std::size_t i = 0; i < a.count; i++)
        if (memcmp(&a.keys[i], &b.keys[i], sizeof(SigningKey)) != 0) return false;
    return true;
}

std::string_view trim(std::string_view text) {
    return core::trim(text, core::is_space);
}

// Returns 0 if the text is not a key.
std::size_t decode_key(std::string_view text, std::uint8_t* out) {
    std::size_t size = text.size() / 2;
    if (size < core::kMinJwtKeyBytes || size > shmem::kMaxJwtKeyBytes || !core::decode_hex(text, {out, size}))
        size = core::base64_decode(text, {out, shmem::kMaxJwtKeyBytes});
    return size < core::kMinJwtKeyBytes ? 0 : size;
}

// Fills `set`. Its content is undefined if the text is invalid.
KeyFault parse(std::string_view text, KeySet& set, int& line_number) {
    line_number = 0;
    while (!text.empty()) {
        line_number++;
        const std::size_t end = text.find('\n');
        std::string_view line = core::slice(text, 0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        line = trim(core::slice(line, 0, line.find('#')));
        if (line.empty()) continue;
        const std::size_t colon = line.find(':');
        const std::string_view id = colon == std::string_view::npos ? std::string_view{} : trim(core::slice(line, 0, colon));
        if (!core::is_jwt_key_id(id)) return kNotOfForm;
        for (std::size_t i = 0; i < set.count; i++)
            if (std::string_view(set.keys[i].id, set.keys[i].id_size) == id) return kTwice;
        if (set.count == shmem::kMaxJwtKeys) return kTooMany;
        SigningKey& at = set.keys[set.count];
        at.size = static_cast<std::uint32_t>(decode_key(trim(core::slice(line, colon + 1)), at.bytes));
        if (at.size == 0) return kNoKeyInLine;
        memcpy(at.id, id.data(), id.size());
        at.id_size = static_cast<std::uint32_t>(id.size());
        set.count++;
    }
    line_number = 0;
    return set.count == 0 ? kEmpty : kGood;
}

KeyFault read_open_file(int file) {
    struct stat state;
    if (fstat(file, &state) != 0 || !S_ISREG(state.st_mode)) return kNotRegular;
    if (state.st_uid != geteuid() && state.st_uid != 0) return kForeign;
    if ((state.st_mode & (state.st_uid == geteuid() ? 0077 : 0027)) != 0) return kOpenToOthers;
    own->read.stamp = stamp_of(state);
    std::size_t size = 0;
    while (size < sizeof(own->text)) {
        const ssize_t got = read(file, own->text + size, sizeof(own->text) - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return kCannotOpen;
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    if (size == sizeof(own->text)) return kTooLong;
    return parse({own->text, size}, own->read.good, own->read.line);
}

// Reads the file into own->read, also when it is faulty. No server call between open and close: an ERROR would leave the file
// open.
void read_file(const char* path, const FileStamp& seen) {
    core::wipe(&own->read, sizeof(own->read));
    strlcpy(own->read.path, path, sizeof(own->read.path));
    own->read.stamp = seen;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        own->read.fault = kCannotOpen;
    } else {
        own->read.fault = read_open_file(file);
        close(file);
    }
    core::wipe(own->text, sizeof(own->text));
    if (own->read.fault != kGood) core::wipe(&own->read.good, sizeof(own->read.good));
    // File times have a coarse clock, so a file changed within the last 2 s may change again under the same time.
    own->read.stable = own->read.stamp.error != 0 || own->read.stamp.changed.tv_sec + 2 < time(nullptr);
}

// Call with key_lock() held.
void copy_shared_keys(const shmem::SharedKeys& shared) {
    own->now = shared.now;
    own_version = shared.version.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < shmem::kMaxJwtKeys; i++) {
        const SigningKey& key = own->now.good.keys[i];
        own->keys[i] = {};
        if (i < own->now.good.count) own->keys[i] = {{key.id, key.id_size}, {key.bytes, key.size}};
    }
}

// Publishes what was read for all backends. Returns true if the log should say so. Call it with key_lock() held exclusively.
bool publish_keys(shmem::SharedKeys& shared, TimestampTz at) {
    KeyFile& read = own->read;
    const KeyFile& before = shared.now;
    const bool another = strcmp(read.path, before.path) != 0;
    const bool changed = read.fault != before.fault || read.line != before.line;
    // A faulty file: the keys of the last good one stay.
    if (read.fault != kGood) read.good = before.good;
    read.since = another || changed ? at : before.since;
    if (!another && !changed && read.stable == before.stable && same(read.stamp, before.stamp) &&
        same_set(read.good, before.good))
        return false;
    shared.now = read;
    shared.version.fetch_add(1, std::memory_order_release);
    return another ? read.fault != kGood : changed;
}

// No file is set, so no backend may use the keys of an earlier one.
void clear_keys(shmem::SharedKeys& shared) {
    LWLockAcquire(shmem::key_lock(), LW_EXCLUSIVE);
    if (shared.now.path[0] != '\0') {
        core::wipe(&shared.now, sizeof(shared.now));
        shared.version.fetch_add(1, std::memory_order_release);
    }
    own_version = shared.version.load(std::memory_order_relaxed);
    LWLockRelease(shmem::key_lock());
    if (own != nullptr) core::wipe(own, sizeof(*own));
}

void log_news(const KeyFile& file) {
    const char* effect =
        file.good.count > 0 ? "The last good keys stay in force." : "No token in the form of a JWT can be checked.";
    if (file.fault == kGood)
        MIROX_LOG(LOG, errmsg("the file of mirox_tokens.jwt_key_file can be used again"));
    else
        MIROX_LOG(LOG, errmsg("the file of mirox_tokens.jwt_key_file cannot be used: %s", kFaultTexts[file.fault].text),
                  file.line > 0 ? errdetail("Line %d. %s", file.line, effect) : errdetail("%s", effect),
                  errhint("Repair the file."));
}

// The current state of the file; null if none is set.
const KeyFile* key_file() {
    shmem::SharedKeys* shared = shmem::shared_keys();
    const char* path = pg::settings().jwt_key_file;
    if (shared == nullptr) return nullptr;
    if (path == nullptr || path[0] == '\0') {
        if (own_version != shared->version.load(std::memory_order_relaxed) || (own != nullptr && own->now.path[0] != '\0'))
            clear_keys(*shared);
        return nullptr;
    }
    if (own == nullptr) {
        own = static_cast<Own*>(shmem::map_undumped(sizeof(Own), false));
        if (own == nullptr) pg::raise_out_of_memory("keeping the keys of JWTs");
    }
    struct stat state;
    FileStamp seen = {};
    if (stat(path, &state) == 0)
        seen = stamp_of(state);
    else
        seen.error = errno;
    const auto known_by = [&](const KeyFile& file) {
        return file.stable && same(seen, file.stamp) && strcmp(path, file.path) == 0;
    };
    if (own_version == shared->version.load(std::memory_order_acquire) && known_by(own->now)) return &own->now;

    LWLockAcquire(shmem::key_lock(), LW_SHARED);
    const bool known = known_by(shared->now);
    if (known) copy_shared_keys(*shared);
    LWLockRelease(shmem::key_lock());
    if (known) return &own->now;

    read_file(path, seen);
    const TimestampTz at = GetCurrentTimestamp();
    LWLockAcquire(shmem::key_lock(), LW_EXCLUSIVE);
    const bool news = publish_keys(*shared, at);
    copy_shared_keys(*shared);
    LWLockRelease(shmem::key_lock());
    core::wipe(&own->read, sizeof(own->read));
    if (news) log_news(own->now);
    return &own->now;
}

}  // namespace

const core::JwtKey& jwt_signing_key() {
    const KeyFile* file = key_file();
    if (file == nullptr)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::keys_unavailable, "format"),
                    errmsg("there is no key to sign a JWT with"),
                    errhint("Set mirox_tokens.jwt_key_file to a file of signing keys, or issue the token as 'opaque'."));
    if (file->good.count == 0)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::keys_unavailable, "format"),
                    errmsg("there is no key to sign a JWT with"),
                    errdetail("The file of mirox_tokens.jwt_key_file cannot be used: %s.", kFaultTexts[file->fault].text),
                    errhint("Repair the file, or issue the token as 'opaque'."));
    return own->keys[0];
}

JwtSignature signature_of(std::string_view text) {
    if (!core::looks_like_jwt(text)) return JwtSignature::foreign;
    const KeyFile* file = key_file();
    if (file == nullptr) return JwtSignature::foreign;
    if (file->good.count == 0) return JwtSignature::unavailable;
    return core::verify_jwt(text, {own->keys, file->good.count}) ? JwtSignature::ours : JwtSignature::foreign;
}

JwtKeyState jwt_key_state() {
    const KeyFile* file = key_file();
    if (file == nullptr) return {0, "unused", 0};
    return {static_cast<std::int32_t>(file->good.count), kFaultTexts[file->fault].word, file->since};
}

}  // namespace mirox::store
