#pragma once

#include <cstddef>

namespace curfew::api {

// What the kernel knows of a TCP connection. A write "succeeds" once the kernel has taken the
// bytes; whether the peer got them is told by its acknowledgements alone.

// Bytes written that the peer has not acknowledged; a closing FIN counts as one. 0 where the kernel
// does not say.
std::size_t unacknowledged_bytes(int socket);

// The connection was reset or timed out: nothing more will be acknowledged.
bool is_broken(int socket);

// The peer has closed at least its side, or reset the connection: it may be gone.
bool has_hung_up(int socket);

// The first byte that waits to be read, without taking it; -1 if there is none.
int peek_byte(int socket);

}  // namespace curfew::api
