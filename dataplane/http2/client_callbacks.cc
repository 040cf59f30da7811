// client_callbacks.cc -- between the callbacks of nghttp2 and ClientConnection; and the options of its sessions.
#include "dataplane/base/check.h"
#include "dataplane/http2/client_connection.h"
#include "dataplane/http2/text_of.h"

namespace headgate::http2 {

namespace {

ClientConnection& connection_of(void* user) { return static_cast<ClientConnection&>(*static_cast<Session*>(user)); }

}  // namespace

struct ClientConnection::Callbacks {
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* frame, void* user) {
    return connection_of(user).on_frame_begins(*frame);
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    ClientConnection& connection = connection_of(user);
    ClientStream* const stream = connection.stream_of(frame->hd.stream_id);
    if (stream == nullptr || stream->on_field(text_of(name, name_size), text_of(value, value_size))) return 0;
    return connection.calm("a header block far over its limit");
  }
  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return connection_of(user).on_frame_received(*frame);
  }
  static int on_data_chunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
    ClientConnection& connection = connection_of(user);
    if (ClientStream* const stream = connection.stream_of(id)) {
      stream->on_data(connection.input(), text_of(data, size));
    } else {
      nghttp2_session_consume(connection.session(), id, size);
    }
    return connection.state() == State::kClosed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }
  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    ClientConnection& connection = connection_of(user);
    if (ClientStream* const stream = connection.stream_of(id)) connection.on_stream_closed(*stream, code);
    return 0;
  }
  static int on_frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return connection_of(user).on_frame_sent(*frame);
  }

  static const nghttp2_session_callbacks* table() {
    static const nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* const made = make_callbacks();
      nghttp2_session_callbacks_set_on_begin_frame_callback(made, on_begin_frame);
      nghttp2_session_callbacks_set_on_header_callback(made, on_header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame_recv);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data_chunk);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, on_frame_send);
      return made;
    }();
    return callbacks;
  }

  static const nghttp2_option* options() {
    static const nghttp2_option* const options = make_options();
    return options;
  }
};

nghttp2_session* ClientConnection::make_session(ClientConnection& connection) {
  nghttp2_session* session = nullptr;
  nghttp2_mem memory = connection.memory();
  HG_CHECK(nghttp2_session_client_new3(&session, Callbacks::table(), static_cast<Session*>(&connection),
                                       Callbacks::options(), &memory) == 0);
  return session;
}

}  // namespace headgate::http2
