#!/usr/bin/env bash
# Makes one picture and prints the answer: AROUTER_API_KEY=lr_test_... examples/curl.sh
set -euo pipefail
: "${AROUTER_API_KEY:?Set it to a key that ARouter printed, or make one with npx arouter keys create --name NAME}"

curl --silent --show-error --fail-with-body "${AROUTER_URL:-http://127.0.0.1:8787}/v1/images/generations" \
  -H "Authorization: Bearer $AROUTER_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"model": "openai/dall-e-3", "prompt": "A futuristic city skyline at sunset, photorealistic", "n": 1, "size": "1024x1024"}'
