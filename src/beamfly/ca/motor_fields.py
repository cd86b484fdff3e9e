"""Fields of the motor record, and the English names that PyEpics has for them."""

import re

_NAMES = """
acceleration ACCL, back_accel BACC, backlash BDST, back_speed BVEL, card CARD,
dial_high_limit DHLM, direction DIR, dial_low_limit DLLM, settle_time DLY,
done_moving DMOV, dial_readback DRBV, description DESC, dial_drive DVAL, units EGU,
encoder_step ERES, freeze_offset FOFF, move_fraction FRAC, hi_severity HHSV,
hi_alarm HIGH, hihi_alarm HIHI, high_limit HLM, high_limit_set HLS, hw_limit HLSV,
home_forward HOMF, home_reverse HOMR, high_op_range HOPR, high_severity HSV,
integral_gain ICOF, jog_accel JAR, jog_forward JOGF, jog_reverse JOGR,
jog_speed JVEL, last_dial_val LDVL, low_limit LLM, low_limit_set LLS,
lo_severity LLSV, lolo_alarm LOLO, low_op_range LOPR, low_alarm LOW,
last_rel_val LRLV, last_dial_drive LRVL, last_SPMG LSPG, low_severity LSV,
last_drive LVAL, soft_limit LVIO, in_progress MIP, missed MISS, moving MOVN,
resolution MRES, motor_status MSTA, offset OFF, output_mode OMSL, output OUT,
prop_gain PCOF, precision PREC, readback RBV, retry_max RTRY, retry_count RCNT,
retry_deadband RDBD, dial_difference RDIF, raw_encoder_pos REP, raw_high_limit RHLS,
raw_low_limit RLLS, relative_value RLV, raw_motor_pos RMP, raw_readback RRBV,
readback_res RRES, raw_drive RVAL, dial_speed RVEL, s_speed S, s_back_speed SBAK,
s_base_speed SBAS, s_max_speed SMAX, set SET, stop_go SPMG, s_revolutions SREV,
stop_command STOP, t_direction TDIR, tweak_forward TWF, tweak_reverse TWR,
tweak_val TWV, use_encoder UEIP, u_revolutions UREV, use_rdbl URIP, drive VAL,
base_speed VBAS, slew_speed VELO, version VERS, max_speed VMAX, use_home ATHM,
deriv_gain DCOF, use_torque CNEN, device_type DTYP, record_type RTYP, status STAT
"""
MOTOR_FIELDS: dict[str, str] = dict(
    re.findall(r"(\w+) (\w+)", _NAMES)  # pairs of words, separated by commas
)
"""Name -> field, such as slew_speed -> VELO."""
