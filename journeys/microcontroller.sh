#!/usr/bin/env bash
# A model for a microcontroller: from nothing to C that is built for the chip and checked on an emulated core.
source "$(dirname "$0")/common.sh"

install "[all]"
step "what is installed" hannah-hw doctor
step "is the search valid" hannah-hw search digits_quick --dry-run
step "search, 8 networks trained" hannah-hw search digits_quick --out runs/first
expect "a page to choose from" grep -q "<html" runs/first/report.html
step "the knee as ONNX and table" hannah-hw export runs/first --pick knee --to onnx,csv --out models
expect "an int8 model" test -s models/*.onnx
step "the knee as C, built for the chip" hannah-hw export runs/first --pick knee --to c --build --out firmware
expect "a firmware file" find firmware -name '*.elf' -size +1k
step "the firmware on an emulated core" hannah-hw measure models/*.onnx --target stm32l4r5zi
finish
