<?php
CModule::IncludeModule('im');
CIMNotify::DeleteByTag("TASK|A");
echo json_encode(['count' => (new CIMNotify(5))->GetNotifyCounter()]);
