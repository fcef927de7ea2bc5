// Package litellm carries the callback that LiteLLM loads: one Python file,
// with which a caller that got its answer has a durable record. Users get it
// from "indelible litellm callback"; docs/litellm.md says how it behaves.
package litellm

import _ "embed"

// CallbackName is the file name under which LiteLLM finds the callback as
// "indelible_callback.indelible".
const CallbackName = "indelible_callback.py"

// Callback is the Python file. It needs nothing but LiteLLM and Python 3.9.
//
//go:embed indelible_callback.py
var Callback []byte
