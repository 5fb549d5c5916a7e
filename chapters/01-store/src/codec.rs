//! tonic's codec for protobuf, with buffers as large as their messages: its own are 8 KiB for each
//! question and each answer, and most of etcd's are a hundred bytes.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The head of a gRPC message, which stands in the same buffer.
const HEAD: usize = 5;
/// A stream's messages are sent together when there are as many bytes of them.
const TOGETHER: usize = 32 << 10;

pub struct ProstCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for ProstCodec<T, U> {
    fn default() -> Self {
        ProstCodec(PhantomData)
    }
}

impl<T: Message + Send + 'static, U: Message + Default + Send + 'static> Codec for ProstCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = Whole<T>;
    type Decoder = Whole<U>;

    fn encoder(&mut self) -> Whole<T> {
        Whole(PhantomData)
    }

    fn decoder(&mut self) -> Whole<U> {
        Whole(PhantomData)
    }
}

/// One message, in one buffer.
pub struct Whole<T>(PhantomData<T>);

impl<T: Message> Encoder for Whole<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message.encode(buffer).map_err(|e| Status::internal(e.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(HEAD, TOGETHER)
    }
}

impl<T: Message + Default> Decoder for Whole<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        T::decode(buffer).map(Some).map_err(|e| Status::internal(e.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(HEAD, TOGETHER)
    }
}
