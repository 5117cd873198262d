//! The program as users run it: the binary, its streams, its exit status, against the embedded AWS over HTTP or in
//! process, with the environment cleaned. One binary, so that the SDK is linked once.

mod black_box {
    mod choice;
    mod clients;
    mod costs;
    mod doctor;
    mod documents;
    mod faults;
    mod inputs;
    mod last_words;
    mod life;
    mod network;
    mod pipelines;
    mod policies;
    mod prices;
    mod quota;
    mod races;
    mod readme;
    mod refusals;
    mod second_opinion;
    mod streams;
    pub(crate) mod support;
}
